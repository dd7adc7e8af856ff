"""All kinds of things that can be chosen, each with the table of a configuration it belongs to."""

from demjax.registry.choices import Registry

ALGORITHMS = Registry("algorithm", table="algorithm", given=("local", "cohort"), needed=("local",))
STARTS = Registry("start", table="algorithm")

DATASETS = Registry("data set", table="data", given=("data_dir", "clients", "seed"))
PARTITIONS = Registry(
    "partition", table="data", given=("y", "dataset", "owner", "train_count", "clients", "seed")
)
CONFLICTS = Registry("conflict", table="data", given=("x", "y", "partition", "classes", "seed"))
NORMALIZATIONS = Registry("normalization", table="data", given=("x", "rows", "maximum", "dataset"))

MODELS = Registry("model", table="model", given=("classes", "conv"), needed=("classes",))
OPTIMIZERS = Registry("optimizer", table="training")

METRICS = Registry("extra measure", table="run", given=("task", "outputs", "y"))

FEATURES = Registry("features", table="clustering", given=("select",))
DISTANCES = Registry("metric", table="clustering")
LINKAGES = Registry("linkage", table="clustering")
CUTS = Registry("cut", table="clustering")

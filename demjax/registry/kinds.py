"""All kinds of things that can be chosen, each with the table of a configuration it belongs to."""

from demjax.registry.choices import Registry

ALGORITHMS = Registry(
    "algorithm",
    "demjax.algorithms",
    table="algorithm",
    given=("local", "cohort", "average"),
    needed=("local",),
)
STARTS = Registry("start", "demjax.hierarchy", table="algorithm")
MEANS = Registry("mean", "demjax.hierarchy.estimators", table="aggregation")

DATASETS = Registry(
    "data set", "demjax.data", table="data", given=("data_dir", "clients", "seed", "by_rows")
)
PARTITIONS = Registry(
    "partition",
    "demjax.data",
    table="data",
    given=("y", "dataset", "owner", "train_count", "clients", "seed"),
)
CONFLICTS = Registry(
    "conflict", "demjax.data", table="data", given=("x", "y", "partition", "classes", "seed")
)
NORMALIZATIONS = Registry(
    "normalization", "demjax.data", table="data", given=("x", "rows", "maximum", "dataset")
)

MODELS = Registry(
    "model", "demjax.models", table="model", given=("classes", "conv"), needed=("classes",)
)
OPTIMIZERS = Registry("optimizer", "demjax.clients.optimizers", table="training")

ATTACKS = Registry("attack", "demjax.clients.attacks", table="faults")

METRICS = Registry("extra measure", "demjax.metrics", table="run", given=("task", "outputs", "y"))

FEATURES = Registry("features", "demjax.clustering", table="clustering", given=("select",))
DISTANCES = Registry("metric", "demjax.clustering", table="clustering")
LINKAGES = Registry("linkage", "demjax.clustering", table="clustering")
CUTS = Registry("cut", "demjax.clustering", table="clustering")
CLUSTERINGS = Registry("clustering", "demjax.clustering", table="clustering")

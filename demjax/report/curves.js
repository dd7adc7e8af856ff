// Curves over rounds: panels of lines, a legend that tells the values at the pointer.

const FRAME = { width: 480, height: 270, left: 50, right: 12, top: 10, bottom: 36 };

/** Round numbers between low and high, about as many as wanted. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / size - 1e-9); i * size <= high + 1e-9 * size; i++) found.push(i * size);
  return { size, found };
}

/** The y axis from 0 to 1, or no more than the values need. */
function heights(series, fit) {
  const values = series.flatMap((one) => one.values.filter((value) => value !== null));
  if (!fit || !values.length) return [0, 1];
  const low = Math.min(...values), high = Math.max(...values);
  const { size } = ticks(low, high, 5);
  const from = Math.floor(low / size + 1e-9) * size, to = Math.ceil(high / size - 1e-9) * size;
  return to > from ? [from, to] : [from - size, to + size];
}

function path(one, x, y) {
  let pen = "M", line = "";
  one.values.forEach((value, i) => {
    if (value === null) { pen = "M"; return; }
    line += `${pen}${x(one.rounds[i]).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return line;
}

/** What a chart shows, in words. */
function told(panel) {
  const ends = panel.series.map((one) => {
    const known = one.rounds.map((round, i) => [round, one.values[i]]).filter(([, v]) => v !== null);
    if (!known.length) return `${one.name}: no value`;
    const [first, last] = [known[0], known[known.length - 1]];
    return `${one.name}: ${digits(first[1], 3)} in round ${first[0]}, ${digits(last[1], 3)} in round ${last[0]}`;
  });
  return `${panel.title}. ${ends.join("; ")}.`;
}

/** From the least to the most of several runs, as an area. */
function area(one, x, y) {
  const edge = (values) => values.map((value, i) => `${x(one.rounds[i]).toFixed(1)} ${y(value).toFixed(1)}`);
  return `M${[...edge(one.low), ...edge(one.high).reverse()].join("L")}Z`;
}

/** A line as a legend shows it, and a place for its value. */
function explained(one, ...words) {
  return html("li", {}, svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, svg("line", {
    x1: 0, x2: 26, y1: 5, y2: 5, stroke: one.stroke, "stroke-width": 2.5, "stroke-dasharray": one.dashes,
  })), html("span", {}, one.name), ...words);
}

/** One chart: `panel` has a title and series of name, rounds, values, stroke and dashes; `legend` is
 * what explains all panels, if they share it. */
function chart(panel, fit, legend) {
  const { width, height, left, right, top, bottom } = FRAME;
  const rounds = [...new Set(panel.series.flatMap((one) => one.rounds))].sort((a, b) => a - b);
  const first = rounds[0] ?? 0, last = Math.max(rounds[rounds.length - 1] ?? 1, first + 1);
  const [low, high] = heights(panel.series, fit || panel.free);
  const x = (round) => left + ((round - first) / (last - first)) * (width - left - right);
  const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
  const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told(panel) });
  const rows = ticks(low, high, 5);
  const places = Math.max(0, Math.min(4, -Math.floor(Math.log10(rows.size) + 1e-9)));
  for (const value of rows.found) {
    image.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text", { class: "soft", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(places)),
    );
  }
  for (const round of ticks(first, last, 6).found.filter(Number.isInteger)) {
    image.append(
      svg("line", { class: "axis", x1: x(round), x2: x(round), y1: height - bottom, y2: height - bottom + 4 }),
      svg("text", { class: "soft", x: x(round), y: height - bottom + 17, "text-anchor": "middle" }, String(round)),
    );
  }
  image.append(
    svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text", { class: "soft", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "round"),
  );
  const at = svg("line", { class: "at", x1: 0, x2: 0, y1: top, y2: height - bottom, visibility: "hidden" });
  image.append(at);
  for (const one of panel.series) {
    const look = { stroke: one.stroke, "stroke-dasharray": one.dashes };
    if (one.low) image.append(svg("path", { d: area(one, x, y), fill: one.stroke, opacity: 0.2 }));
    image.append(svg("path", { class: "curve", d: path(one, x, y), ...look }));
    if (one.rounds.length > 40) continue;
    one.values.forEach((value, i) => {
      if (value === null) return;
      image.append(svg("circle", { cx: x(one.rounds[i]), cy: y(value), r: 2.5, fill: look.stroke }));
    });
  }
  const shown = panel.series.map((one) => legend?.values[one.line] ?? html("span", { class: "value" }));
  const tell = (round) => panel.series.forEach((one, i) => {
    const place = round === null ? one.values.length - 1 : one.rounds.indexOf(round);
    const value = place < 0 ? "" : digits(one.values[place] ?? null, 3);
    shown[i].textContent = legend && round === null ? "" : value;
  });
  tell(null);
  const where = html("span", { class: "value" });
  image.addEventListener("pointermove", (event) => {
    const box = image.getBoundingClientRect();
    const pointed = ((event.clientX - box.left) / box.width) * width;
    if (!rounds.length) return;
    const near = rounds.reduce((a, b) => (Math.abs(x(b) - pointed) < Math.abs(x(a) - pointed) ? b : a));
    for (const end of ["x1", "x2"]) at.setAttribute(end, x(near));
    at.setAttribute("visibility", "visible");
    where.textContent = `round ${near}`;
    tell(near);
  });
  image.addEventListener("pointerleave", () => {
    at.setAttribute("visibility", "hidden");
    where.textContent = "";
    tell(null);
  });
  const own = legend ? [] : panel.series.map((one, i) => explained(one, shown[i]));
  const below = html("ul", { class: "legend" }, ...own, html("li", {}, where));
  return html("figure", { class: "chart" }, html("h3", {}, panel.title), image, below);
}

const MEASURES = [["C-SPE", "c_spe"], ["C-GEN", "c_gen"], ["Global", "global"]];

/** How the i-th line is drawn. */
const look = (i, color) => ({ stroke: color ?? colour(i), dashes: DASHES[i % DASHES.length] || null });

/** A column of one run, or its mean over several in the rounds that all have measured, and its range. */
function meanOf(several, column) {
  const value = (run, round) => run.metrics[column]?.[run.metrics.round.indexOf(round)] ?? null;
  const rounds = (several[0].metrics.round ?? []).filter((round) => several.every((run) => value(run, round) !== null));
  const every = rounds.map((round) => several.map((run) => value(run, round)));
  const values = every.map((some) => some.reduce((a, b) => a + b) / some.length);
  if (several.length === 1) return { rounds, values };
  return { rounds, values, low: every.map((some) => Math.min(...some)), high: every.map((some) => Math.max(...some)) };
}

/** The panels of one run, with a line for each measure, or of several, with a panel for each. */
function panelsOf(runs, lines) {
  const levels = (kind) => [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))]
    .map((name) => name.match(`^${kind}_l(\\d+)$`)).filter(Boolean).map((found) => [`level ${found[1]}`, found[0]]);
  const groups = [["G-SPE", levels("g_spe")], ["G-GEN", levels("g_gen")]];
  if (runs.length === 1) {
    const series = (columns) => columns.map(([name, column], i) => {
      const found = meanOf(runs, column);
      return { name: found.rounds.length ? name : `${name} (not measured)`, ...found, ...look(i) };
    });
    return [{ title: "Clients and global", series: series(MEASURES) }, ...groups.filter(([, found]) => found.length)
      .map(([title, found]) => ({ title: `${title} of groups, by level`, series: series(found) }))];
  }
  const columns = [...MEASURES, ...groups.flatMap(([title, found]) => found.map(([level, name]) => [`${title}, ${level}`, name]))];
  return columns.map(([title, column]) => ({
    title,
    series: lines.map((one, line) => ({ name: one.name, line, ...meanOf(one.runs.map((at) => runs[at]), column), ...look(line, one.color) }))
      .filter((one) => one.rounds.length),
  })).filter((panel) => panel.series.length);
}

/** The panels of measures beside the score: of one run a panel for each, of several one for each column. */
function extraPanels(runs, lines) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))]
    .map((name) => name.match(/^(.+)_c_gen$/)).filter(Boolean).map((found) => found[1]);
  const spaced = (name) => name.replaceAll("_", " ");
  if (runs.length === 1) {
    return names.map((extra) => ({ title: spaced(extra), free: true, series: MEASURES.map(([name, column], i) =>
      ({ name, ...meanOf(runs, `${extra}_${column}`), ...look(i) })).filter((one) => one.rounds.length) }));
  }
  return names.flatMap((extra) => MEASURES.map(([name, column]) => ({ title: `${spaced(extra)}, ${name}`, free: true,
    series: lines.map((one, line) => ({ name: one.name, line,
      ...meanOf(one.runs.map((at) => runs[at]), `${extra}_${column}`), ...look(line, one.color) }))
      .filter((one) => one.rounds.length) })));
}

/** One legend for all panels of several runs, which also tells values at the pointer. */
function sharedLegend(lines) {
  const values = lines.map(() => html("span", { class: "value" }));
  const seeds = (one) => html("span", { class: "value" }, one.runs.length > 1 ? `mean and range of ${one.runs.length}` : "");
  const list = html("ul", { class: "legend shared" }, ...lines.map((one, i) =>
    explained({ ...one, ...look(i, one.color) }, seeds(one), values[i])));
  return { list, values };
}

/** All values of a run, as a table. */
function valuesOf(run) {
  const columns = Object.keys(run.metrics);
  const number = (value) => (value === null ? "" : String(value));
  return html("div", { class: "wide" }, html("table", {},
    html("thead", {}, html("tr", {}, ...columns.map((name) => html("th", { scope: "col", class: "number" }, name)))),
    html("tbody", {}, ...(run.metrics.round ?? []).map((_, i) => html("tr", {},
      ...columns.map((name) => html("td", { class: "number" }, number(run.metrics[name][i]))))))));
}

/** Draw all curves into `place`. */
function curves(runs, lines, place) {
  if (!runs.some((run) => run.metrics.round)) {
    place.append(html("p", {}, "Nothing was measured."));
    return;
  }
  const fit = html("input", { type: "checkbox", id: "fit" });
  const charts = html("div", { class: "charts" });
  const legend = runs.length > 1 ? sharedLegend(lines) : null;
  const redraw = () => charts.replaceChildren(...[...panelsOf(runs, lines), ...extraPanels(runs, lines).filter((panel) => panel.series.length)]
    .map((panel) => chart(panel, fit.checked, legend)));
  fit.addEventListener("change", redraw);
  redraw();
  place.append(html("div", { class: "controls" }, html("label", {}, fit, "fit the vertical axes to the values")), legend?.list ?? "", charts);
  for (const run of runs) {
    const more = html("details", {}, html("summary", {}, `All values of ${run.name}`));
    more.addEventListener("toggle", () => {
      if (more.open && more.children.length === 1) more.append(valuesOf(run));
    });
    place.append(more);
  }
}

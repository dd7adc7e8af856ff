// Who is in a group, and where a client goes over the rounds.

const MEMBERS_AT_FIRST = 60;

/** Labels that someone has, the most frequent first, as coloured counts. */
function labelChips(held, most) {
  const sorted = [...held.entries()].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const chips = sorted.slice(0, most).map(([label, count]) => html("span", { class: "held" },
    html("span", { class: "swatch", style: `background: ${labelColour(label)}` }), `${label}: ${count}`));
  if (sorted.length > most) chips.push(html("span", { class: "held" }, `and ${sorted.length - most} more`));
  return chips;
}

/** Examples of clients by label, and how many are for training and for tests. */
function heldBy(labels, clients) {
  const by = new Map();
  let train = 0, test = 0;
  for (const client of clients) {
    const held = labels[client];
    for (let i = 0; i < held.length; i += 3) {
      by.set(held[i], (by.get(held[i]) ?? 0) + held[i + 1] + held[i + 2]);
      train += held[i + 1];
      test += held[i + 2];
    }
  }
  return { by, train, test };
}

/** The mean of scores, those that are missing left out. */
function mean(scores) {
  const known = scores.filter((score) => score >= 0);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length / 1e4 : null;
}

const ROWS = new WeakMap(); // of a run, so that a thousand rows are made only once

/** A client's row in the table of members; its scores are still to be written. */
function rowOf(run, client, choose) {
  if (!ROWS.has(run)) ROWS.set(run, new Map());
  const made = ROWS.get(run);
  if (made.has(client)) return made.get(client);
  const number = (text = "") => html("td", { class: "number" }, text);
  const button = html("button", { class: "plain", type: "button" }, String(client));
  button.addEventListener("click", () => choose({ client }));
  const held = run.labels && heldBy(run.labels, [client]);
  const spe = number(), gen = number();
  const line = html("tr", {}, html("th", { scope: "row" }, button),
    ...(held ? [html("td", {}, ...labelChips(held.by, 4)), number(held.train), number(held.test)] : []), spe, gen);
  made.set(client, { line, button, spe, gen });
  return made.get(client);
}

/** The panel about a group, into `place`; the function that it returns fills it for a round. */
function membersPanel(place, { choose, showAll }) {
  const title = html("h3"), means = html("p", { class: "small" }), held = html("p", { class: "small" });
  const heads = html("tr"), body = html("tbody");
  const list = html("div", { class: "members", tabindex: 0, role: "region", "aria-label": "Members" },
    html("table", {}, html("thead", {}, heads), body));
  const more = html("button", { class: "all", type: "button" });
  more.addEventListener("click", showAll);
  place.append(title, means, held, list, more);
  let before = []; // rows that are there stay there, with the focus and the place in the list

  return (run, i, node, { client, all }) => {
    const { tree, labels } = run;
    const [spe, gen] = [tree.spe[i], tree.gen[i]];
    const members = node ? node.members : [];
    const name = node ? nameOf(node) : "";
    title.textContent = node
      ? `${name[0].toUpperCase()}${name.slice(1)}: ${counted(members.length, "client")} in round ${tree.rounds[i]}`
      : `No such group in round ${tree.rounds[i]}`;
    means.textContent = node
      ? `Plain means of members: C-SPE ${digits(mean(members.map((one) => spe[one])))}, C-GEN ${digits(mean(members.map((one) => gen[one])))}.`
      : "Choose another one in the tree.";
    held.replaceChildren(...(labels
      ? ["Examples by label: ", ...labelChips(heldBy(labels, members).by, 12)]
      : ["This run folder holds no labels.csv, so labels are not shown."]));
    held.hidden = list.hidden = !node;
    const names = ["client", ...(labels ? ["label: examples", "training", "tests"] : []), "C-SPE", "C-GEN"];
    heads.replaceChildren(...names.map((head, at) =>
      html("th", { scope: "col", class: at === 0 || head.startsWith("label") ? null : "number" }, head)));
    const shown = all ? members : members.slice(0, MEMBERS_AT_FIRST);
    const rows = shown.map((member) => {
      const row = rowOf(run, member, choose);
      row.spe.textContent = digits(spe[member] < 0 ? null : spe[member] / 1e4);
      row.gen.textContent = digits(gen[member] < 0 ? null : gen[member] / 1e4);
      row.button.setAttribute("aria-pressed", String(member === client));
      row.line.classList.toggle("chosen", member === client);
      return row.line;
    });
    if (rows.length !== before.length || rows.some((row, at) => row !== before[at])) {
      const focused = document.activeElement;
      body.replaceChildren(...rows);
      if (body.contains(focused)) focused.focus({ preventScroll: true });
      before = rows;
    }
    more.hidden = shown.length === members.length;
    more.textContent = `Show all ${members.length}`;
  };
}

/** With whom a client shares its lowest group most often: client and share of rounds. */
function companions(tree, client) {
  const shared = new Array(tree.clients).fill(0);
  let rounds = 0;
  tree.rounds.forEach((_, i) => {
    const groups = groupsAt(tree, i);
    const level = groups.findIndex((row) => row[client] >= 0);
    if (level < 0) return;
    rounds += 1;
    groups[level].forEach((slot, other) => { if (slot === groups[level][client]) shared[other] += 1; });
  });
  const others = shared.map((count, other) => [other, count / rounds]).filter(([other, part]) => other !== client && part > 0);
  return others.sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 8);
}

/** A client's group on each level, round by round, as a strip of colours and numbers. */
function strip(tree, client, i) {
  const { width, left, right } = FRAME;
  const row = 24, height = tree.levels * row + 6;
  const { rounds } = tree, last = rounds.length - 1;
  const scale = (width - left - right) / Math.max(rounds[last] - rounds[0], 1);
  const x = (round) => left + (round - rounds[0]) * scale; // as in the chart above
  const from = (at) => x(at ? (rounds[at - 1] + rounds[at]) / 2 : rounds[0]);
  const to = (at) => (at < last ? from(at + 1) : width - right);
  const image = svg("svg", { class: "strip", viewBox: `0 0 ${width} ${height}`, role: "img" });
  const told = [];
  for (let level = tree.levels; level >= 1; level--) {
    const y = (tree.levels - level) * row + 2;
    image.append(svg("text", { class: "soft", x: left - 5, y: y + 15, "text-anchor": "end" }, `level ${level}`));
    const slots = rounds.map((_, at) => groupsAt(tree, at)[level - 1][client]);
    let start = 0;
    slots.forEach((slot, at) => {
      if (at + 1 < slots.length && slots[at + 1] === slot) return;
      const begin = from(start), long = to(at) - begin, name = slot < 0 ? "none" : String(slot);
      const what = `level ${level}, rounds ${rounds[start]} to ${rounds[at]}: ${slot < 0 ? "no group" : `group ${slot}`}`;
      told.push(what);
      image.append(svg("rect", { x: begin, y, width: long, height: row - 4,
        fill: slot < 0 ? "var(--line)" : labelColour(slot) }, svg("title", {}, what)));
      if (long > 7 * name.length + 4) {
        image.append(svg("text", { x: begin + long / 2, y: y + 15, "text-anchor": "middle",
          style: `fill: ${slot < 0 ? "var(--ink)" : "#000000"}` }, name));
      }
      start = at + 1;
    });
  }
  image.append(svg("line", { x1: x(rounds[i]), x2: x(rounds[i]), y1: 0, y2: height, stroke: "var(--ink)", "stroke-width": 2 }));
  image.setAttribute("aria-label", `Groups of client ${client}. ${told.slice(0, 60).join("; ")}.`);
  return image;
}

/** The panel about a client over the rounds. */
function clientPanel(run, i, client, choose) {
  if (client === null) return [html("h3", {}, "One client over the rounds"), html("p", {}, "Choose a client in the tree or among the members.")];
  const { tree, labels } = run;
  const scores = (kind) => tree[kind].map((row) => (row[client] < 0 ? null : row[client] / 1e4));
  const lines = [["C-SPE", "spe"], ["C-GEN", "gen"]].map(([name, kind], at) =>
    ({ name, rounds: tree.rounds, values: scores(kind), colour: at, dash: at }));
  const groups = groupsAt(tree, i);
  const now = groups.map((row, at) => (row[client] < 0 ? `none on level ${at + 1}` : `${row[client]} on level ${at + 1}`));
  const friends = tree.levels ? companions(tree, client) : [];
  const said = friends.flatMap(([other, part]) => {
    const button = html("button", { class: "plain" }, String(other));
    button.addEventListener("click", () => choose({ client: other }));
    return [html("span", { class: "held" }, button, `${Math.round(100 * part)} %`)];
  });
  const shown = chart({ title: `Client ${client} over the rounds`, series: lines }, false);
  if (tree.levels) shown.insertBefore(strip(tree, client, i), shown.lastChild);
  return [
    shown,
    tree.levels ? html("p", { class: "small" }, `Its groups in round ${tree.rounds[i]}: ${now.reverse().join(", ")}.`) : null,
    labels ? html("p", { class: "small" }, "Examples by label: ", ...labelChips(heldBy(labels, [client]).by, 12)) : null,
    said.length ? html("p", { class: "small" }, "Most often in the same lowest group, by share of rounds: ", ...said) : null,
  ].filter(Boolean);
}

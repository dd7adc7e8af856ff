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

/** The panel about a group in a round; `all` shows every member. */
function membersPanel(run, i, node, { client, all, choose, showAll }) {
  const { tree, labels } = run;
  if (!node) return [html("h3", {}, "No such group in this round"), html("p", {}, "Choose another one in the tree.")];
  const [spe, gen] = [tree.spe[i], tree.gen[i]];
  const name = nameOf(node);
  const number = (value) => html("td", { class: "number" }, value);
  const score = (value) => number(digits(value < 0 ? null : value / 1e4));
  const shown = all ? node.members : node.members.slice(0, MEMBERS_AT_FIRST);
  const rows = shown.map((member) => {
    const button = html("button", { class: "plain", "aria-pressed": String(member === client) }, String(member));
    button.addEventListener("click", () => choose({ client: member }));
    const held = labels && heldBy(labels, [member]);
    return html("tr", { class: member === client ? "chosen" : null }, html("th", { scope: "row" }, button),
      ...(held ? [html("td", {}, ...labelChips(held.by, 4)), number(held.train), number(held.test)] : []),
      score(spe[member]), score(gen[member]));
  });
  const heads = ["client", ...(labels ? ["labels (examples)", "training", "tests"] : []), "C-SPE", "C-GEN"];
  const held = labels && heldBy(labels, node.members);
  const more = html("button", { class: "all" }, `Show all ${node.members.length}`);
  more.addEventListener("click", showAll);
  return [
    html("h3", {}, `${name[0].toUpperCase()}${name.slice(1)}: ${counted(node.members.length, "client")} in round ${tree.rounds[i]}`),
    html("p", { class: "small" }, "Plain means of members: ", `C-SPE ${digits(mean(node.members.map((one) => spe[one])))}, `,
      `C-GEN ${digits(mean(node.members.map((one) => gen[one])))}.`),
    held ? html("p", { class: "small" }, "Examples by label: ", ...labelChips(held.by, 12))
      : html("p", { class: "small" }, "This run folder holds no labels.csv, so labels are not shown."),
    html("div", { class: "members", tabindex: 0, role: "region", "aria-label": "Members" }, html("table", {},
      html("thead", {}, html("tr", {}, ...heads.map((head, at) =>
        html("th", { scope: "col", class: at === 0 || head.startsWith("labels") ? null : "number" }, head)))),
      html("tbody", {}, ...rows))),
    shown.length < node.members.length ? more : null,
  ].filter(Boolean);
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
  const picture = svg("svg", { class: "strip", viewBox: `0 0 ${width} ${height}`, role: "img" });
  const told = [];
  for (let level = tree.levels; level >= 1; level--) {
    const y = (tree.levels - level) * row + 2;
    picture.append(svg("text", { class: "soft", x: left - 5, y: y + 15, "text-anchor": "end" }, `level ${level}`));
    const slots = rounds.map((_, at) => groupsAt(tree, at)[level - 1][client]);
    let start = 0;
    slots.forEach((slot, at) => {
      if (at + 1 < slots.length && slots[at + 1] === slot) return;
      const begin = from(start), long = to(at) - begin, name = slot < 0 ? "none" : String(slot);
      const what = `level ${level}, rounds ${rounds[start]} to ${rounds[at]}: ${slot < 0 ? "no group" : `group ${slot}`}`;
      told.push(what);
      picture.append(svg("rect", { x: begin, y, width: long, height: row - 4,
        fill: slot < 0 ? "var(--line)" : labelColour(slot) }, svg("title", {}, what)));
      if (long > 7 * name.length + 4) {
        picture.append(svg("text", { x: begin + long / 2, y: y + 15, "text-anchor": "middle",
          style: `fill: ${slot < 0 ? "var(--ink)" : "#000000"}` }, name));
      }
      start = at + 1;
    });
  }
  picture.append(svg("line", { x1: x(rounds[i]), x2: x(rounds[i]), y1: 0, y2: height, stroke: "var(--ink)", "stroke-width": 2 }));
  picture.setAttribute("aria-label", `Groups of client ${client}. ${told.slice(0, 60).join("; ")}.`);
  return picture;
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

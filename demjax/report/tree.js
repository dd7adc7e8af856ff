// The tree of one round as an image whose groups and clients can be chosen.

/** What colours mean: of each client a step, of each step a colour and a name. */
function colouring(run, mode) {
  const { tree, labels } = run;
  if (mode === "label") {
    const most = labels.map((held) => {
      let best = null, count = -1;
      for (let i = 0; i < held.length; i += 3) {
        if (held[i + 1] + held[i + 2] > count) [best, count] = [held[i], held[i + 1] + held[i + 2]];
      }
      return best;
    });
    const names = [...new Set(most)].filter((label) => label !== null).sort((a, b) => a - b);
    return {
      of: (client) => (most[client] === null ? -1 : most[client]),
      fill: (label) => (most.includes(label) ? labelColour(label) : MISSING),
      ink: () => "#000000",
      name: (label) => `most examples of label ${label}`,
      legend: names.map((label) => [labelColour(label), `label ${label}`]),
    };
  }
  const what = mode === "gen" ? "C-GEN" : "C-SPE";
  return {
    of: (client, i) => { const score = tree[mode][i][client]; return score < 0 ? -1 : step(score / 1e4); },
    fill: shade,
    ink: shadeText,
    name: (at) => (at < 0 ? `no ${what}` : `${what} ${shadeNames[at]}`),
    legend: SHADES.map((one, at) => [one, shadeNames[at]]),
  };
}

/** Draws trees into an image; `choose` is called with a group's key or a client's number. */
function treeImage(choose) {
  const image = svg("svg", { role: "group", "aria-label": "Tree of groups and clients" });
  const rows = svg("g"), links = svg("g"), blocks = svg("g"), nodes = svg("g");
  image.append(rows, links, blocks, nodes);
  let kept = new Map(); // elements by name, so that clients slide and the focus stays
  let order = []; // what the arrow keys go through: name, x, y, element
  let current = "group root";

  const element = (name, kind) => {
    if (kept.has(name)) return kept.get(name);
    const made = svg("g", { class: `node ${kind}`, role: "button", tabindex: -1 },
      svg("circle", { class: "ring" }), svg("text"), svg("title"));
    const what = kind === "group" ? { group: name.slice(6) } : { client: Number(name.slice(7)) };
    made.addEventListener("click", () => { focusOn(name, false); choose(what); });
    made.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(what); }
      else if (event.key.startsWith("Arrow")) { event.preventDefault(); move(name, event.key); }
    });
    nodes.append(made);
    return made;
  };

  const focusOn = (name, move = true) => {
    for (const one of order) one.element.setAttribute("tabindex", one.name === name ? 0 : -1);
    current = name;
    if (move) order.find((one) => one.name === name)?.element.focus();
  };

  /** Left and right go along a row, up to the parent, down to the first below. */
  const move = (name, key) => {
    const here = order.find((one) => one.name === name);
    const nearer = (a, b) => (Math.abs(b.x - here.x) < Math.abs(a.x - here.x) ? b : a);
    let found = null;
    if (key === "ArrowUp") found = order.find((one) => one.name === here.parent);
    else if (key === "ArrowDown") found = order.find((one) => one.parent === name);
    else {
      const side = order.filter((one) => one.y === here.y && (key === "ArrowLeft" ? one.x < here.x : one.x > here.x));
      found = side.length ? side.reduce(nearer) : null;
    }
    if (found) focusOn(found.name);
  };

  const write = (one, { x, y, r, text, title, fill: paint, ink, chosen, parent, name }) => {
    const [ring, words, tip] = one.children;
    one.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    ring.setAttribute("r", r.toFixed(1));
    ring.style.fill = paint ?? "";
    words.textContent = text;
    words.style.fill = ink ?? "";
    tip.textContent = title;
    one.setAttribute("aria-label", title);
    one.setAttribute("aria-pressed", String(chosen));
    one.classList.toggle("chosen", chosen);
    order.push({ name, x, y, parent, element: one });
  };

  /** Clients of a group as one block, in the order of their colours. */
  const block = (leaf, i, paint, chosenClient) => {
    const counts = new Map();
    for (const client of leaf.clients) {
      const at = paint.of(client, i);
      counts.set(at, (counts.get(at) ?? 0) + 1);
    }
    let x = leaf.left;
    const unit = (leaf.right - leaf.left) / leaf.clients.length;
    for (const at of [...counts.keys()].sort((a, b) => a - b)) {
      const width = counts.get(at) * unit;
      const part = svg("rect", { class: "block", x, y: leaf.y - 11, width, height: 22, fill: paint.fill(at) },
        svg("title", {}, `${counted(counts.get(at), "client")} of ${nameOf(leaf.node)}: ${paint.name(at)}`));
      part.addEventListener("click", () => choose({ group: leaf.node.parent ? leaf.node.key : "root" }));
      blocks.append(part);
      x += width;
    }
    if (leaf.clients.includes(chosenClient)) {
      blocks.append(svg("rect", { class: "mine", x: leaf.left, y: leaf.y - 13, width: leaf.right - leaf.left, height: 26 }));
    }
  };

  /** Draw the i-th round of a run; returns its tree. */
  const draw = (run, i, { mode, group, client }) => {
    const { tree } = run;
    const grown = grow(tree, i), placed = place(grown, tree), paint = colouring(run, mode);
    const focused = order.find((one) => one.element === document.activeElement);
    image.setAttribute("viewBox", `0 0 ${PICTURE.width} ${placed.height}`);
    const levels = Array.from({ length: tree.levels + 2 }, (_, level) => level);
    rows.replaceChildren(...levels.flatMap((level) => [
      svg("line", { class: "row", x1: PICTURE.left, x2: PICTURE.width, y1: placed.y(level), y2: placed.y(level) }),
      svg("text", { class: "soft", x: 0, y: placed.y(level) + 4 },
        level === 0 ? "clients" : level > tree.levels ? "root" : `level ${level}`),
    ]));
    const way = client === null ? [] : wayOf(grown, client);
    const link = (from, to, onWay) => {
      const middle = (from.y + to.y) / 2;
      return svg("path", {
        class: onWay ? "link way" : "link",
        d: `M${from.x.toFixed(1)} ${from.y}C${from.x.toFixed(1)} ${middle} ${to.x.toFixed(1)} ${middle} ${to.x.toFixed(1)} ${to.y}`,
      });
    };
    const drawn = [
      ...grown.all.filter((node) => node.parent).map((node) => [link(node.parent, node, way.includes(node)), way.includes(node)]),
      ...placed.leaves.map((leaf) => {
        const mine = client !== null && leaf.clients.includes(client);
        return [link(leaf.node, leaf, mine), mine];
      }),
    ].sort((a, b) => a[1] - b[1]); // the way on top
    links.replaceChildren(...drawn.map(([one]) => one));
    blocks.replaceChildren();
    const before = kept;
    order = [];
    const next = new Map();
    const called = (node) => (node.parent ? `group ${node.key}` : "group root");
    for (const node of grown.all) {
      let name = called(node);
      while (next.has(name)) name += "'"; // a slot under two parents
      next.set(name, element(name, "group"));
      write(next.get(name), {
        name, x: node.x, y: node.y, r: node.r, text: node.r >= 7 ? String(node.members.length) : "",
        title: `${nameOf(node)}, ${counted(node.members.length, "client")}`,
        chosen: name === `group ${group}`, parent: node.parent ? called(node.parent) : null,
      });
    }
    for (const leaf of placed.leaves) {
      if (!placed.dots) { block(leaf, i, paint, client); continue; }
      const number = leaf.clients[0], name = `client ${number}`, at = paint.of(number, i);
      next.set(name, element(name, "client"));
      write(next.get(name), {
        name, x: leaf.x, y: leaf.y, r: leaf.r, text: leaf.r >= 7.5 ? String(number) : "", fill: paint.fill(at),
        ink: paint.ink(at), title: `client ${number}: ${paint.name(at)}`, chosen: number === client, parent: called(leaf.node),
      });
    }
    kept = next;
    for (const [name, one] of before) if (!kept.has(name)) one.remove();
    if (!kept.has(current)) current = "group root";
    focusOn(current, Boolean(focused) && !kept.has(focused.name));
    return grown;
  };

  return { image, draw };
}

// From each client's group on each level to a tree, and from the tree to places in an image.

/** What a run's tree was in its i-th round: a row of clients for each level, the lowest first. */
function groupsAt(tree, i) {
  while (tree.groups[i] === 0) i -= 1; // as in the round before
  return tree.groups[i];
}

/** The tree of a round; a node has its level, slot, parent, groups below, own clients and members. */
function grow(tree, i) {
  const groups = groupsAt(tree, i);
  const node = (level, slot, parent) =>
    ({ key: `${level}:${slot}`, level, slot, parent, groups: [], clients: [], members: [], below: new Map() });
  const root = node(tree.levels + 1, 0, null);
  const all = [root];
  for (let client = 0; client < tree.clients; client++) {
    let at = root;
    root.members.push(client);
    for (let level = tree.levels; level >= 1; level--) {
      const slot = groups[level - 1][client];
      if (slot < 0) continue;
      const key = `${level}:${slot}`;
      if (!at.below.has(key)) {
        const made = node(level, slot, at);
        at.below.set(key, made);
        at.groups.push(made); // in the order of their first clients
        all.push(made);
      }
      at = at.below.get(key);
      at.members.push(client);
    }
    at.clients.push(client);
  }
  return { root, all };
}

/** What a node is called. */
function nameOf(node) {
  return node.parent ? `group ${node.slot} on level ${node.level}` : "all clients (root)";
}

const PICTURE = { width: 1100, left: 74, right: 8, top: 26, row: 66 };
const CLIENTS_AS_DOTS = 120; // more are drawn as one block a group

/** Give each node, and each client or block of clients, its place; returns the image's height. */
function place(grown, tree) {
  const dots = tree.clients <= CLIENTS_AS_DOTS;
  const gap = dots ? 0.6 : tree.clients / 150;
  const least = dots ? 1 : tree.clients / 130;
  const leaves = [];
  let cursor = 0;
  const walk = (node) => {
    node.from = cursor;
    node.groups.forEach((group, i) => { cursor += i ? gap : 0; walk(group); });
    if (node.clients.length) {
      cursor += node.groups.length ? gap : 0;
      for (const clients of dots ? node.clients.map((client) => [client]) : [node.clients]) {
        const size = Math.max(clients.length, least);
        leaves.push({ node, clients, from: cursor, to: cursor + size });
        cursor += size;
      }
    }
    node.to = cursor;
  };
  walk(grown.root);
  const unit = (PICTURE.width - PICTURE.left - PICTURE.right) / Math.max(cursor, dots ? 12 : 1);
  const x = (at) => PICTURE.left + at * unit;
  const y = (level) => PICTURE.top + (tree.levels + 1 - level) * PICTURE.row;
  for (const node of grown.all) {
    node.x = x((node.from + node.to) / 2);
    node.y = y(node.level);
    const room = ((node.to - node.from) * unit) / 2 - 1;
    node.r = Math.max(3, Math.min(18, 7 + 1.4 * Math.sqrt(node.members.length), room));
  }
  for (const leaf of leaves) {
    leaf.left = x(leaf.from);
    leaf.right = x(leaf.to);
    leaf.x = (leaf.left + leaf.right) / 2;
    leaf.y = y(0);
    leaf.r = Math.max(2.5, Math.min(12, unit / 2 - 0.8));
  }
  return { leaves, dots, y, height: y(0) + 30 };
}

/** The way of a client from the root down, as nodes. */
function wayOf(grown, client) {
  const way = [grown.root];
  for (;;) {
    const next = way[way.length - 1].groups.find((group) => group.members.includes(client));
    if (!next) return way;
    way.push(next);
  }
}

// The page: what was chosen, the controls, and what they redraw.

const PLAY_EVERY = 700; // milliseconds a round

/** The hierarchy of runs, with its controls, into `place`. */
function hierarchy(runs, place) {
  const grown = runs.filter((run) => run.tree);
  if (!grown.length) {
    place.append(html("p", {}, "These run folders hold no clients.csv, so there is no tree to show."));
    return;
  }
  const state = { run: grown[0], i: grown[0].tree.rounds.length - 1, mode: "spe", group: "root", client: null, all: false };
  const option = (value, text) => html("option", { value }, text);
  const which = html("select", { id: "run" }, ...grown.map((run, at) => option(at, run.name)));
  const slider = html("input", { type: "range", id: "round", min: 0, step: 1 });
  const said = html("output", { for: "round", id: "now" });
  const play = html("button", { id: "play", type: "button" }, "Play");
  const mode = html("select", { id: "mode" });
  const find = html("input", { type: "number", id: "find", min: 0, step: 1 });
  const legend = html("ul", { class: "legend" });
  const note = html("p", { class: "small" });
  const live = html("p", { class: "small", id: "said", "aria-live": "polite" });
  const members = html("section", { id: "members", "aria-label": "Members of the chosen group" });
  const journey = html("section", { id: "client", "aria-label": "The chosen client" });

  const choose = (what) => {
    if ("client" in what) state.client = state.client === what.client ? null : what.client;
    else { state.group = what.group; state.all = false; }
    draw();
  };
  const { image, draw: drawTree } = treeImage(choose);
  const fillMembers = membersPanel(members, { choose, showAll: () => { state.all = true; draw(); } });

  /** After another run was chosen: its rounds, and what it can be coloured by. */
  const open = () => {
    const { tree, labels } = state.run;
    slider.max = tree.rounds.length - 1;
    find.max = tree.clients - 1;
    const modes = [["spe", "C-SPE"], ["gen", "C-GEN"], ...(labels ? [["label", "most frequent label"]] : [])];
    mode.replaceChildren(...modes.map(([value, text]) => option(value, text)));
    if (!modes.some(([value]) => value === state.mode)) state.mode = "spe";
    mode.value = state.mode;
    note.textContent = tree.rounds.length < tree.measured
      ? `So that the page stays small, the tree shows ${tree.rounds.length} of ${tree.measured} measured rounds.` : "";
  };

  const draw = () => {
    const { run, i, group, client } = state;
    const { tree } = run;
    slider.value = i;
    const round = `round ${tree.rounds[i]}`;
    said.textContent = round;
    slider.setAttribute("aria-valuetext", round);
    find.value = client ?? "";
    const { root, all } = drawTree(run, i, state);
    const node = group === "root" ? root : all.find((one) => one.parent && one.key === group);
    const counts = Array.from({ length: tree.levels }, (_, at) => all.filter((one) => one.parent && one.level === at + 1).length);
    live.textContent = `In ${round}: ${counts.length ? counts.map((count, at) => `${counted(count, "group")} on level ${at + 1}`).reverse().join(", ") : "no groups"}.`;
    legend.replaceChildren(...colouring(run, state.mode).legend.map(([paint, name]) =>
      html("li", {}, html("span", { class: "swatch", style: `background: ${paint}` }), name)));
    fillMembers(run, i, node, state);
    journey.replaceChildren(...clientPanel(run, i, client, choose));
  };

  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  const go = (i) => { state.i = i; draw(); };
  play.addEventListener("click", () => {
    if (timer !== null) { stop(); return; }
    const last = state.run.tree.rounds.length - 1;
    if (state.i >= last) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (state.i >= state.run.tree.rounds.length - 1) stop();
      else go(state.i + 1);
    }, PLAY_EVERY);
  });
  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
  which.addEventListener("change", () => {
    stop();
    const round = state.run.tree.rounds[state.i];
    Object.assign(state, { run: grown[Number(which.value)], group: "root", client: null, all: false });
    const { rounds } = state.run.tree;
    state.i = rounds.reduce((best, one, at) => (Math.abs(one - round) < Math.abs(rounds[best] - round) ? at : best), 0);
    open();
    draw();
  });
  mode.addEventListener("change", () => { state.mode = mode.value; draw(); });
  find.addEventListener("change", () => {
    const wanted = Number(find.value);
    const known = find.value !== "" && Number.isInteger(wanted) && wanted >= 0 && wanted < state.run.tree.clients;
    state.client = known ? wanted : null;
    draw();
  });
  const labelled = (text, input, extra = "") => html("label", { class: extra }, text, input);
  place.append(
    html("p", { class: "small hint" }, "Move through the rounds with the slider. Choose a group to see its members, a client to see where it goes. ",
      "With the keyboard: Tab to the tree, arrows to go through it, Enter to choose."),
    html("div", { class: "controls" }, grown.length > 1 ? labelled("Run", which) : null,
      play, labelled("Round", slider, "slide"), said,
      labelled("Colour clients by", mode), labelled("Client", find)),
    note, html("div", { class: "tree" }, image), legend, live, html("div", { class: "panels" }, members, journey),
  );
  open();
  draw();
}

const { runs, lines } = JSON.parse(document.getElementById("data").textContent);
curves(runs, lines, document.getElementById("curves"));
hierarchy(runs, document.getElementById("hierarchy"));

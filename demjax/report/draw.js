// Small things that all drawing needs. Text goes into the page as text only, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** An HTML element with attributes and children. */
const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** An SVG element with attributes and children. */
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** A number as the tables show it. */
const digits = (value, places = 4) => (value === null || value < 0 ? "–" : value.toFixed(places));

/** "1 client", "2 clients". */
const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

// Lines differ in colour and in dashes, so that either is enough to tell them apart.
const COLOURS = 8;
const DASHES = ["", "7 4", "2 3", "10 3 2 3", "14 4"];
const colour = (index) => `var(--c${index % COLOURS})`;

// Scores by colour: dark is low, bright is high, and steps are finer where models are good.
const EDGES = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98];
const SHADES = [
  "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#9fda3a", "#d8e219", "#fdf08a",
];
const MISSING = "#9aa0a6";
const step = (score) => (score === null ? -1 : EDGES.filter((edge) => score >= edge).length);
const shade = (step) => (step < 0 ? MISSING : SHADES[step]);
const shadeText = (step) => (step >= 0 && step < 4 ? "#ffffff" : "#000000");
const shadeNames = [
  `below ${EDGES[0]}`, ...EDGES.map((edge, i) => (i + 1 < EDGES.length ? `from ${edge}` : `from ${edge} up`)),
];

// Labels by colour; where there are more labels than colours, the number beside it tells.
const LABELS = [
  "#4e9fd8", "#e68a3c", "#2fb58d", "#d97fb4", "#e3cc4b", "#8d8ff0", "#b5b9bf", "#c96a5a", "#86c95a", "#6ed3d3",
];
const labelColour = (label) => LABELS[((label % LABELS.length) + LABELS.length) % LABELS.length];

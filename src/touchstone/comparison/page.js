"use strict";

const TITLES = {
  images: "images", seconds: "seconds of training", multiply_adds: "multiply-adds of training",
};
const LOGARITHMIC = { type: "log", dtick: "D2", minorloglabels: "complete" };
const BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];  // none that sends anything
const TOUCH = matchMedia("(pointer: coarse)").matches;  // a finger on the chart scrolls the page
const DARK = matchMedia("(prefers-color-scheme: dark)");
const count = new Intl.NumberFormat("en");

/** What is shown of a group: its line, and the band of its seeds behind it. */
function traces(line, axis, visible) {
  const x = axis === "multiply_adds"
    ? line.images.map((images) => images * line.multiply_adds) : line[axis];
  const band = {
    x: [...x, ...x.toReversed()], y: [...line.high, ...line.low.toReversed()], visible,
    mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: `${line.color}30`,
    hoverinfo: "skip",
  };
  const mean = {
    x, y: line.mean, visible, mode: "lines+markers", marker: { size: 4 },
    line: { color: line.color, dash: line.dash, width: 2 },
    customdata: line.mean.map((_, i) => [count.format(line.images[i]), line.low[i], line.high[i]]),
    hovertemplate: `<b>${line.label.replaceAll("<", "&lt;")}</b><br>%{customdata[0]} images: `
      + "%{y:.4g} (%{customdata[1]:.4g} to %{customdata[2]:.4g})<extra></extra>",
  };
  return [band, mean];
}

/** A chart that follows its axis' switch, its legend and the scheme of colours. */
function chart(section, { figure, logarithmic, lines }) {
  const element = section.querySelector(".chart");
  const buttons = [...section.querySelectorAll(".legend button")];
  const draw = () => {
    const axis = section.querySelector("fieldset input:checked").value;
    const shown = lines.flatMap((line, i) => axis === "multiply_adds" && !line.multiply_adds
      ? [] : traces(line, axis, buttons[i].ariaPressed === "true"));
    const grid = { gridcolor: DARK.matches ? "#3a3a3a" : "#e4e4e4", zeroline: false };
    Plotly.react(element, shown, {
      xaxis: { ...grid, title: { text: TITLES[axis] }, exponentformat: "SI", rangemode: "tozero" },
      yaxis: { ...grid, title: { text: figure }, ...(logarithmic && LOGARITHMIC) },
      font: { color: getComputedStyle(document.body).color }, showlegend: false,
      hovermode: "closest", paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      margin: { l: 56, r: 8, t: 24, b: 48 },
      dragmode: TOUCH ? false : "zoom", modebar: { bgcolor: "transparent" },
    }, { responsive: true, displaylogo: false, modeBarButtons: BUTTONS });
  };
  buttons.forEach((button) => button.addEventListener("click", () => {
    button.ariaPressed = String(button.ariaPressed !== "true");
    draw();
  }));
  section.querySelector("fieldset").addEventListener("change", draw);
  DARK.addEventListener("change", draw);
  draw();
}

/** The samples of every group, each its last ones at the images that the slider stands at. */
function samples(section, { steps, grids }) {
  const slider = section.querySelector(".slider input");
  const figures = [...section.querySelectorAll(".grids figure")];
  const show = () => {
    const text = `${count.format(steps[slider.value])} images`;
    section.querySelector(".slider output").textContent = text;
    slider.setAttribute("aria-valuetext", text);
    figures.forEach((figure, i) => {
      const frame = grids[i].findLast(({ images }) => images <= steps[slider.value]);
      const picture = figure.querySelector("img");
      picture.hidden = !frame;
      if (frame) picture.src = frame.picture;
      figure.querySelector("output").textContent = frame
        ? `after ${count.format(frame.images)} images` : "none yet";
    });
  };
  slider.addEventListener("input", show);
  show();
}

/** A study's plot, as Optuna has drawn it. */
function plot(element) {
  const { data, layout } = JSON.parse(element.dataset.plot);
  const draw = () => Plotly.react(element, data, {
    ...layout, template: undefined, title: undefined,
    font: { color: getComputedStyle(document.body).color },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", margin: { r: 56 },
  }, { responsive: true, displaylogo: false, modeBarButtons: BUTTONS });
  DARK.addEventListener("change", draw);
  draw();
}

const comparisons = JSON.parse(document.getElementById("data").textContent);
const sections = [...document.querySelectorAll(".comparison")];
sections.forEach((section, i) => comparisons[i].grids.length && samples(section, comparisons[i]));
// Plotly comes last in the page, and takes a second or so: all else can be used before.
document.addEventListener("DOMContentLoaded", () => {
  sections.forEach((section, i) => comparisons[i].lines.length && chart(section, comparisons[i]));
  document.querySelectorAll(".plot").forEach(plot);
});

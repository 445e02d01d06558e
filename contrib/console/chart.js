// chart.js - stacked bars over time, drawn as SVG, with a table of the same

import { h, s } from "./dom.js";
import { number, span, t } from "./text.js";
import { table } from "./parts.js";

const HEIGHT = 180, LEFT = 44, BOTTOM = 24, TOP = 8, RIGHT = 4, MARK = 72, BAR = 2.5;

// ceiling - the end of the scale: 1, 2 or 5 times a power of ten
function ceiling(most) {
	const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));

	return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= most);
}

// thin - fewer points, if there is not room for a bar of each: neighbours together
function thin(points, room) {
	const n = Math.max(1, Math.ceil(points.length * BAR / room)), few = [];

	for (let i = 0; n > 1 && i < points.length; i += n) {
		const some = points.slice(i, i + n);

		few.push({ at: some[0].at, to: some.at(-1).at, values: some[0].values.map((_, k) => some.reduce((sum, one) => sum + one.values[k], 0)),
			marked: some.find((one) => one.marked)?.marked });
	}
	return n > 1 ? few : points;
}

// marks - the points that the axis names, as many as there is room for
function marks(points, step) {
	const at = points.map((point, i) => point.marked ? i : -1).filter((i) => i >= 0);
	const near = Math.min(...at.map((i, k) => k > 0 ? i - at[k - 1] : Infinity));

	return at.filter((i, k) => k % Math.max(1, Math.ceil(MARK / (near * step))) === 0);
}

function draw(width, all, series, label, { when, step: length }) {
	const inner = width - LEFT - RIGHT, room = HEIGHT - TOP - BOTTOM, points = thin(all, inner), step = inner / points.length;
	const most = ceiling(Math.max(1, ...points.map((point) => point.values.reduce((a, b) => a + b, 0))));
	const y = (value) => TOP + room - room * value / most;
	const middle = (i) => Math.min(width - MARK / 2, Math.max(LEFT, LEFT + (i + 0.5) * step));

	return [s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
		[0, most / 2, most].filter((mark) => Number.isInteger(mark)).map((mark) => [
			s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(mark), y2: y(mark) }),
			s("text", { class: "axis", x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, number(mark)),
		]),
		points.map((point, i) => {
			const time = point.to > point.at ? `${when(point.at)} \u2013 ${when(point.to)}` : when(point.at);
			let at = 0;

			return s("g", {}, s("title", {}, `${time}: ` + series.map((one, k) => `${one.name} ${number(point.values[k])}`).join(", ")),
				s("rect", { class: "hover", x: LEFT + i * step, y: TOP, width: step, height: room }),
				point.values.map((value, k) => {
					const low = y(at);

					at += value;
					return value > 0 ? s("rect", { class: `bar ${series[k].kind}`, x: LEFT + i * step + step * 0.08, y: y(at),
						width: Math.max(0.5, step * 0.84), height: Math.max(1, low - y(at)) }) : null;
				}));
		}),
		marks(points, step).map((i) => s("text", { class: "axis", x: middle(i), y: HEIGHT - 6, "text-anchor": "middle" }, points[i].marked))),
	length ? h("p", { class: "quiet" }, t("chart.bar", { span: span(length * Math.ceil(all.length / points.length)) })) : ""];
}

/*
 * chart - points: { at, values: [...] } in the order of series: { name, kind, always }
 * axis: when(at) writes a time; marked(at) says whether the axis has a mark there, and mark(at) writes it; step, if all
 * points are as long, is how long.
 */
export function chart(title, points, series, axis) {
	const sums = series.map((one, k) => points.reduce((sum, point) => sum + point.values[k], 0));
	const used = series.filter((one, k) => sums[k] > 0 || one.always);
	const shown = points.map((point) => ({ at: point.at, values: point.values.filter((value, k) => used.includes(series[k])),
		marked: axis.marked(point.at) ? axis.mark(point.at) : null }));
	const label = `${title}: ` + series.map((one, k) => used.includes(one) ? `${one.name} ${number(sums[k])}` : null).filter(Boolean).join(", ");
	const host = h("div", { class: "drawing" });
	const rows = shown.filter((point) => point.values.some((value) => value > 0));
	let width = 0;

	new ResizeObserver(() => {
		const now = Math.floor(host.clientWidth);

		if (now === width || now < 80)
			return;
		width = now;
		host.replaceChildren(...draw(width, shown, used, label, axis));
	}).observe(host);
	return h("figure", { class: "chart" },
		h("figcaption", {}, title, h("ul", { class: "legend" }, used.map((one) => h("li", {},
			h("span", { class: `key ${one.kind}`, "aria-hidden": "true" }), `${one.name} `, h("b", {}, number(sums[series.indexOf(one)])))))),
		host,
		h("details", {}, h("summary", {}, t("chart.table")), rows.length === 0 ? h("p", {}, t("nothing")) :
			table(title, [{ name: t("time"), value: (row) => row.at, show: (row) => axis.when(row.at) },
				...used.map((one, k) => ({ name: one.name, value: (row) => row.values[k], show: (row) => number(row.values[k]), number: true }))],
			rows.toReversed())));
}

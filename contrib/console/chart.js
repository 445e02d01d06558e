// chart.js - stacked bars over time, drawn as SVG, with a table of the same

import { h, s } from "./dom.js";
import { number, t } from "./text.js";
import { table } from "./parts.js";

const HEIGHT = 180, LEFT = 44, BOTTOM = 24, TOP = 8;

// ceiling - the end of the scale: 1, 2 or 5 times a power of ten
function ceiling(most) {
	const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));

	return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= most);
}

function draw(width, points, series, label, when, tick) {
	const most = ceiling(Math.max(1, ...points.map((point) => point.values.reduce((a, b) => a + b, 0))));
	const inner = width - LEFT - 4, room = HEIGHT - TOP - BOTTOM, step = inner / points.length;
	const y = (value) => TOP + room - room * value / most;
	const every = Math.ceil(points.length / Math.max(1, Math.floor(inner / 72)));
	const marks = [0, most / 2, most].filter((mark) => Number.isInteger(mark));

	return s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
		marks.map((mark) => [
			s("line", { class: "grid", x1: LEFT, x2: width - 4, y1: y(mark), y2: y(mark) }),
			s("text", { class: "axis", x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, number(mark)),
		]),
		points.map((point, i) => {
			let at = 0;

			return s("g", {}, s("title", {}, `${when(point.at)}: ` + series.map((one, k) => `${one.name} ${number(point.values[k])}`).join(", ")),
				s("rect", { class: "hover", x: LEFT + i * step, y: TOP, width: step, height: room }),
				point.values.map((value, k) => {
					const low = y(at);

					at += value;
					return value > 0 ? s("rect", { class: `bar ${series[k].kind}`, x: LEFT + i * step + step * 0.08, y: y(at),
						width: Math.max(0.5, step * 0.84), height: Math.max(1, low - y(at)) }) : null;
				}));
		}),
		points.map((point, i) => i % every === Math.floor(every / 2) ? s("text", { class: "axis", x: LEFT + (i + 0.5) * step,
			y: HEIGHT - 6, "text-anchor": "middle" }, tick(point.at)) : null));
}

/*
 * chart - points: { at, values: [...] } in the order of series: { name, kind }
 * when and tick write a time in the table, and on the axis.
 */
export function chart(title, points, series, when, tick) {
	const sums = series.map((one, k) => points.reduce((sum, point) => sum + point.values[k], 0));
	const used = series.filter((one, k) => sums[k] > 0 || one.always);
	const shown = points.map((point) => ({ at: point.at, values: point.values.filter((value, k) => used.includes(series[k])) }));
	const label = `${title}: ` + series.map((one, k) => used.includes(one) ? `${one.name} ${number(sums[k])}` : null).filter(Boolean).join(", ");
	const host = h("div", { class: "drawing" });
	const rows = shown.filter((point) => point.values.some((value) => value > 0));
	let width = 0;

	new ResizeObserver(() => {
		const now = Math.floor(host.clientWidth);

		if (now === width || now < 80)
			return;
		width = now;
		host.replaceChildren(draw(width, shown, used, label, when, tick));
	}).observe(host);
	return h("figure", { class: "chart" },
		h("figcaption", {}, title, h("ul", { class: "legend" }, used.map((one) => h("li", {},
			h("span", { class: `key ${one.kind}`, "aria-hidden": "true" }), `${one.name} `, h("b", {}, number(sums[series.indexOf(one)])))))),
		host,
		h("details", {}, h("summary", {}, t("chart.table")), rows.length === 0 ? h("p", {}, t("nothing")) :
			table(title, [{ name: t("time"), value: (row) => row.at, show: (row) => when(row.at) },
				...used.map((one, k) => ({ name: one.name, value: (row) => row.values[k], show: (row) => number(row.values[k]), number: true }))],
			rows.toReversed())));
}

// dom.js - elements made of strings that strangers may have written: never HTML, always text

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes ?? {}))
		if (typeof value === "function")
			element.addEventListener(name, value);
		else if (value !== null && value !== undefined && value !== false)
			element.setAttribute(name, value === true ? "" : value);
	element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
	return element;
}

// h - an element. Attributes that are functions are listeners; children are text or nodes.
export function h(tag, attributes, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

// s - the same of SVG
export function s(tag, attributes, ...children) {
	return fill(document.createElementNS(SVG, tag), attributes, children);
}

// announce - let a screen reader say it
export function announce(text) {
	const live = document.getElementById("live");

	live.textContent = live.textContent === text ? text + "\u00a0" : text;
}

// main.js - the start: who is logged in, which page, which language

import * as ask from "./ask.js";
import { announce, h } from "./dom.js";
import { choice, field, problem, problemText } from "./parts.js";
import { language, languages, setLanguage, t } from "./text.js";
import { showAccount } from "./page-account.js";
import { showCheck } from "./page-check.js";
import { showDay } from "./page-day.js";
import { showDomains } from "./page-domains.js";
import { showEvents } from "./page-events.js";
import { showNow } from "./page-now.js";

// site: of the whole site, so not for a token with domains
const PAGES = {
	now: { show: showNow, site: true },
	account: { show: showAccount },
	day: { show: showDay },
	events: { show: showEvents, site: true },
	domains: { show: showDomains, site: true },
	check: { show: showCheck, site: true },
};

const main = document.getElementById("main");
let session = null;
let leave = new AbortController();

function mayPage(name) {
	return name in PAGES && !(PAGES[name].site && session.domains.length > 0);
}

function paintTop(current) {
	const select = choice(languages.map((one) => [one, t(`language.${one}`)]), language);

	select.setAttribute("aria-label", t("language"));
	select.addEventListener("change", () => {
		setLanguage(select.value);
		paint();
		document.querySelector("#who select").focus();
	});
	document.getElementById("skip").textContent = t("skip");
	document.getElementById("nav").setAttribute("aria-label", t("nav"));
	document.getElementById("nav").replaceChildren(...(session === null ? [] : [h("ul", {}, Object.keys(PAGES).filter(mayPage).map((name) =>
		h("li", {}, h("a", { href: `#/${name}`, "aria-current": name === current ? "page" : null }, t(`nav.${name}`)))))]));
	document.getElementById("who").replaceChildren(...(session === null ? [] : [
		h("span", { class: "quiet" }, t("who", { name: session.name, role: t(`role.${session.role}`) })),
		session.session ? h("button", { type: "button", click: logOut }, t("logout")) : null,
	].filter(Boolean)), select);
}

async function logOut() {
	try {
		await ask.logOut();
	} finally {
		session = null;
		location.hash = "";
		paint();
	}
}

function paintLogin(text) {
	const token = h("input", { type: "password", autocomplete: "current-password", required: true, spellcheck: "false" });
	const went = h("div", {}, text ? h("p", { class: "note", role: "alert" }, text) : null);
	const go = h("button", { type: "submit", class: "primary" }, t("login.button"));

	document.title = `${t("login.title")} - countersign`;
	main.replaceChildren(h("form", { class: "login", submit: async (event) => {
		event.preventDefault();
		go.disabled = true;
		try {
			session = await ask.logIn(token.value.trim());
			await paint(true);
		} catch (error) {
			went.replaceChildren(h("p", { class: "note bad", role: "alert" }, error.status === 401 ? t("login.bad") : problemText(error)));
			token.focus();
			token.select();
		}
		go.disabled = false;
	} }, h("h1", {}, t("login.title")), went, field(t("login.token"), token, t("login.hint")), h("p", { class: "buttons" }, go)));
	token.focus();
}

// paint - the page that the address names
async function paint(moved) {
	const parts = location.hash.replace(/^#\/?/, "").split("/");
	let name = parts[0], rest;

	leave.abort();
	leave = new AbortController();
	if (session === null) {
		paintTop(null);
		paintLogin();
		return;
	}
	if (name === "")
		name = session.domains.length > 0 ? "account" : "now";
	paintTop(name);
	try {
		rest = parts.slice(1).map(decodeURIComponent);
	} catch {
		rest = [];
	}
	const title = h("h1", { tabindex: "-1" }, t(`nav.${name}`));
	const body = h("div", {});

	main.replaceChildren(title, body);
	document.title = `${mayPage(name) ? t(`nav.${name}`) : ""} - countersign`;
	if (moved)
		title.focus();
	if (!mayPage(name)) {
		title.textContent = t("problem.page");
		return;
	}
	await PAGES[name].show({ body, title, rest, session, signal: leave.signal });
}

function over(error) {
	if (error?.name === "AbortError")
		return;
	if (error?.status === 401 && session !== null) {
		session = null;
		leave.abort();
		document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
		paintTop(null);
		paintLogin(t("login.again"));
	} else if (error?.status !== undefined)
		main.append(problem(error));
}

// the address names the page, so this link must not change it
document.getElementById("skip").addEventListener("click", (event) => {
	event.preventDefault();
	main.focus();
});
window.addEventListener("hashchange", () => paint(true).catch(over));
window.addEventListener("unhandledrejection", (event) => over(event.reason));
document.addEventListener("session-over", () => over(new ask.Problem(401, "")));

async function start() {
	try {
		session = await ask.whoami();
	} catch (error) {
		if (error.status !== 401) {
			paintTop(null);
			main.replaceChildren(problem(error));
			announce(problemText(error));
			return;
		}
	}
	await paint(false);
}

start();

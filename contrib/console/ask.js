// ask.js - requests to countersign-web

export class Problem extends Error {
	constructor(status, detail) {
		super(detail);
		this.status = status;
	}
}

let proof = "";

async function request(method, path, body, signal) {
	const headers = { "X-Requested-With": "countersign-console" };
	let answer, json;

	if (method !== "GET")
		headers["X-CSRF-Token"] = proof;
	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	try {
		answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", redirect: "error" });
		json = await answer.json();
	} catch (error) {
		if (error.name === "AbortError")
			throw error;
		throw new Problem(0, String(error.message));
	}
	if (answer.status === 401 && path !== "session")
		document.dispatchEvent(new Event("session-over"));
	if (!answer.ok)
		throw new Problem(answer.status, String(json.detail ?? answer.statusText));
	return json;
}

const query = (values) => {
	const given = Object.entries(values ?? {}).filter(([, value]) => value !== undefined && value !== "");

	return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
};

export const get = (path, values, signal) => request("GET", `api/v1/${path}${query(values)}`, undefined, signal);
export const change = (method, path, body) => request(method, `api/v1/${path}`, body);
export const account = (name, rest) => `accounts/${encodeURIComponent(name)}/${rest}`;

export async function health(signal) {
	const answer = await fetch("health", { signal });

	return answer.json();
}

// --- who is logged in

const keep = (who) => {
	proof = who.csrf;
	return who;
};

export const whoami = async () => keep(await request("GET", "session"));
export const logIn = async (token) => keep(await request("POST", "session", { token }));
export const logOut = () => request("DELETE", "session");

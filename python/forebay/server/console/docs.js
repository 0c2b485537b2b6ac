"use strict";
// Everything from the document or an answer is set as text, never as markup.

// The content codings that a browser can make (Compression Streams); a server may take more.
const BROWSER_CODINGS = ["gzip", "deflate"];
const METHODS = ["get", "post", "put", "patch", "delete"];
const SHOWN_CHARACTERS = 100000;
const SHOWN_DEPTH = 100;
const at = (id) => document.getElementById(id);
let spec = null;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// A whole number that a JavaScript number cannot hold, such as a bound of 64 bits, as it was written.
class Exact {
  constructor(source) { this.source = source; }
  toString() { return this.source; }
  toJSON() { return "\u0000exact " + this.source; }
}

// JSON.parse rounds whole numbers beyond 2^53. They are made objects before, by their tokens, and `Exact` after.
function parse(text) {
  const token = /"(?:[^"\\]|\\.)*"|-?\d+(\.\d+)?([eE][+-]?\d+)?/g;
  const marked = text.replace(token, (part, fraction, exponent) =>
    part[0] === '"' || fraction || exponent || Number.isSafeInteger(Number(part)) ? part : `{"\\u0000exact":"${part}"}`);
  return JSON.parse(marked, (name, value) => (value && value["\u0000exact"] ? new Exact(value["\u0000exact"]) : value));
}

// Every value of a parsed document as JSON, with `Exact` numbers as they were written.
function written(value, indent) {
  return JSON.stringify(value, null, indent).replace(/"\\u0000exact (-?\d+)"/g, "$1");
}

function prose(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function authorization() {
  const token = at("token").value.trim();
  return token ? { Authorization: "Bearer " + token } : {};
}

function resolve(schema) {
  return schema && schema.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema || {};
}

function typeOf(schema) {
  if (!schema || !Object.keys(schema).length) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const union = schema.anyOf || schema.oneOf;
  if (union) return union.map(typeOf).join(" | ");
  if ("const" in schema) return written(schema.const);
  if (schema.enum) return schema.enum.map((value) => written(value)).join(" | ");
  if (schema.type === "array") return typeOf(schema.items) + "[]";
  const bounds = [];
  for (const [name, sign] of [["minimum", "≥ "], ["maximum", "≤ "], ["minLength", "length ≥ "], ["maxLength", "length ≤ "]])
    if (name in schema) bounds.push(sign + schema[name]);
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type || "any";
  return bounds.length ? `${type} (${bounds.join(", ")})` : type;
}

function example(given, depth = 0) {
  const schema = resolve(given);
  if (schema.examples && schema.examples.length) return schema.examples[0];
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const union = schema.anyOf || schema.oneOf;
  if (union) return example(union[0], depth);
  if (schema.type === "array") return depth > 6 ? [] : [example(schema.items, depth + 1)];
  if (schema.type === "object" || schema.properties) {
    const entries = Object.entries(schema.properties || {}).filter(([name]) => (schema.required || []).includes(name));
    return depth > 6 ? {} : Object.fromEntries(entries.map(([name, inner]) => [name, example(inner, depth + 1)]));
  }
  if (schema.type === "integer" || schema.type === "number") return schema.minimum > 0 ? schema.minimum : 0;
  if (schema.type === "boolean") return false;
  return schema.type === "string" ? "text" : null;
}

function fields(schema) {
  const rows = Object.entries(schema.properties || {}).map(([name, inner]) =>
    make("tr", {}, make("td", {}, make("code", {}, name), (schema.required || []).includes(name) ? "" : " (optional)"),
      make("td", {}, make("code", {}, typeOf(inner))), make("td", {}, ...prose(inner.description))));
  return rows.length ? make("table", {}, ...rows) : make("code", {}, typeOf(schema));
}

function parameterTable(parameters) {
  const rows = parameters.map((row) =>
    make("tr", {}, make("td", {}, make("code", {}, row.name), row.required ? "" : " (optional)"), make("td", {}, row.in),
      make("td", {}, make("code", {}, typeOf(row.schema)),
        row.schema.default === undefined ? "" : ` = ${written(row.schema.default)}`),
      make("td", {}, ...prose(row.description))));
  return make("table", {}, ...rows);
}

function responseTable(responses) {
  const rows = Object.entries(responses).map(([status, answer]) => {
    const [media, content] = Object.entries(answer.content || {})[0] || ["", {}];
    const headers = Object.keys(answer.headers || {});
    return make("tr", {}, make("td", {}, make("code", {}, status)),
      make("td", {}, ...prose(answer.description), headers.length ? make("div", { class: "note" }, "Headers: " + headers.join(", ")) : ""),
      make("td", {}, make("code", {}, media === "application/json" ? typeOf(content.schema) : media)));
  });
  return make("table", {}, ...rows);
}

function input(row) {
  let options = row.schema.type === "boolean" ? [false, true] : row.schema.enum;
  if (isCoding(row)) options = options.filter((coding) => coding === "identity" || BROWSER_CODINGS.includes(coding));
  if (!options) return make("input", { placeholder: row.schema.default ?? "", required: row.required });
  const choices = options.map((value) => make("option", { value }, String(value)));
  return make("select", {}, ...(row.required ? [] : [make("option", { value: "" }, "")]), ...choices);
}

function isCoding(row) {
  return row.in === "header" && row.name.toLowerCase() === "content-encoding";
}

// The body as its `Content-Encoding` says it is.
async function encoded(text, coding) {
  if (!BROWSER_CODINGS.includes(coding)) return text;
  return new Response(new Blob([text]).stream().pipeThrough(new CompressionStream(coding))).arrayBuffer();
}

async function requestOf(path, method, controls, body) {
  let url = path;
  let coding = "identity";
  const query = new URLSearchParams();
  const headers = authorization();
  for (const [row, control] of controls) {
    const value = control.value;
    if (row.in === "path") url = url.replace(`{${row.name}}`, encodeURIComponent(value));
    else if (value !== "" && row.in === "query") query.append(row.name, value);
    else if (value !== "") headers[row.name] = value;
    if (isCoding(row)) coding = value;
  }
  if (query.size) url += "?" + query;
  const content = body ? await encoded(body.value, coding) : undefined;
  return [url, { method: method.toUpperCase(), headers, body: content, cache: "no-store" }];
}

async function firstCharacters(response, cancel) {
  // A stream may never end: what has come within two seconds is shown, and it is closed.
  const reader = response.body.getReader();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const deadline = setTimeout(cancel, 40000);
  let text = "";
  let quiet = null;
  try {
    while (text.length < SHOWN_CHARACTERS) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      text += decoder.decode(value, { stream: true });
      quiet = quiet || setTimeout(cancel, 2000);
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    clearTimeout(deadline);
    clearTimeout(quiet);
    cancel();
  }
  return text.slice(0, SHOWN_CHARACTERS) + "\n…";
}

// JSON with line breaks and indents between its tokens. Each token stands as it came: JSON.parse would lose the digits of
// large integers, 1.0, -0, repeated keys and the order of keys that look like numbers. What is no JSON stays whole.
function pretty(text) {
  const token = /[ \t\n\r]*("(?:[^"\\\u0000-\u001f]|\\.)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:])/y;
  const open = [];
  let out = "";
  let before = "";
  for (const end = text.trimEnd().length; token.lastIndex < end; ) {
    const found = token.exec(text);
    if (!found) return text;
    const part = found[1];
    if (part === "}" || part === "]") {
      if ((open.pop() === "{") !== (part === "}")) return text;
      if (before !== "{" && before !== "[") out += "\n" + "  ".repeat(open.length);
    } else if (before === "{" || before === "[" || before === ",") {
      out += "\n" + "  ".repeat(open.length);
    } else if (before !== "" && before !== ":" && part !== ":" && part !== ",") {
      // A second text follows: lines of JSON are shown as they are.
      return text;
    }
    out += part === ":" ? ": " : part;
    if (part === "{" || part === "[") open.push(part);
    // Deeper than the server takes, and indents would be most of the text.
    if (open.length > SHOWN_DEPTH) return text;
    before = part;
  }
  return open.length ? text : out;
}

// `fetch` says the same of everything that gives no answer: TypeError, in words of the browser's own.
function failure(error) {
  return error instanceof TypeError ? `No answer: the server cannot be reached, or ended the connection (${error.message}).`
    : String(error);
}

// Why the document could not be loaded, and what to do about it.
function refusal(status, text) {
  const given = at("token").value.trim() !== "";
  if (status === 401) return given
    ? "The server does not know this token: it is mistyped, was revoked, or belongs to another server."
    : "The server asks for a token. The first one is in the file token of its data directory.";
  if (status === 403) return "This token lacks the role read, which the document needs. "
    + "One is made by: forebay token create --name NAME --role read";
  let detail = text.slice(0, 200);
  try {
    const { error } = JSON.parse(text);
    detail = (error && (error.detail || error.message)) || error || detail;
  } catch {
    // Whatever stands between may answer with something else.
  }
  return `The server answered ${status}: ${detail}`;
}

function tryForm(path, method, operation) {
  const controls = operation.parameters.map((row) => [row, input(row)]);
  const shape = operation.requestBody && operation.requestBody.content["application/json"].schema;
  const body = shape ? make("textarea", { spellcheck: "false" }) : null;
  if (body) body.value = written(example(shape), 2);
  const answer = make("pre", { hidden: true });
  const form = make("form", {},
    make("table", {}, ...controls.map(([row, control]) =>
      make("tr", {}, make("td", {}, make("code", {}, row.name)), make("td", {}, control)))),
    body, make("button", {}, "Send"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [url, request] = await requestOf(path, method, controls, body);
    if (method === "delete" && !confirm(`DELETE ${url}\n\nWhat this deletes cannot be brought back.`)) return;
    answer.hidden = false;
    answer.textContent = "…";
    const stop = new AbortController();
    try {
      const started = performance.now();
      const response = await fetch(url, { ...request, signal: stop.signal });
      const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      const text = await firstCharacters(response, () => stop.abort());
      const took = (performance.now() - started).toFixed(1);
      const json = (response.headers.get("content-type") || "").startsWith("application/json");
      const shown = json ? pretty(text) : text;
      answer.textContent = `${request.method} ${url}\n${response.status} in ${took} ms\n${headers}\n\n${shown}`;
    } catch (error) {
      answer.textContent = `${request.method} ${url}\n${failure(error)}`;
    }
  });
  return form;
}

function operationEntry(path, method, operation) {
  const roles = [...new Set((operation.security || []).flatMap((one) => Object.values(one).flat()))];
  const entry = make("details", { "data-words": `${method} ${path} ${operation.summary}`.toLowerCase() },
    make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), make("span", { class: "path" }, path),
      make("span", { class: "role" }, roles.length ? roles.join(", ") : "no token"), " ",
      make("span", { class: "note" }, ...prose(operation.summary))));
  // Filled when first opened: a large document would otherwise take its time.
  entry.addEventListener("toggle", () => {
    if (!entry.open || entry.children.length > 1) return;
    const content = make("div", {});
    if (operation.description) content.append(make("p", {}, ...prose(operation.description)));
    if (operation.parameters.length) content.append(make("h3", {}, "Parameters"), parameterTable(operation.parameters));
    if (operation.requestBody) {
      const schema = operation.requestBody.content["application/json"].schema;
      content.append(make("h3", {}, "Body"), make("p", { class: "note" }, `${typeOf(schema)}. ${operation.requestBody.description}`),
        fields(resolve(schema)));
    }
    content.append(make("h3", {}, "Answers"), responseTable(operation.responses), make("h3", {}, "Try it"),
      tryForm(path, method, operation));
    entry.append(content);
  });
  return entry;
}

function show() {
  const families = new Map();
  for (const [path, methods] of Object.entries(spec.paths))
    for (const method of METHODS.filter((name) => name in methods)) {
      const family = methods[method].tags[0];
      if (!families.has(family)) families.set(family, []);
      families.get(family).push(operationEntry(path, method, methods[method]));
    }
  at("about").replaceChildren(`Version ${spec.info.version}. `, ...prose(spec.info.description));
  at("routes").replaceChildren(...[...families].map(([family, entries]) => make("section", {}, make("h2", {}, family), ...entries)));
  at("schemas").replaceChildren(make("h2", {}, "Schemas"), ...Object.entries(spec.components.schemas).map(([name, schema]) =>
    make("details", { "data-words": name.toLowerCase() }, make("summary", {}, make("code", {}, name)),
      make("div", {}, make("p", {}, ...prose(schema.description)), fields(schema)))));
  at("search").hidden = false;
  narrow();
}

// Shows the entries that have every word of the filter, and the groups that still have one.
function narrow() {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const entry of document.querySelectorAll("[data-words]"))
    entry.hidden = !words.every((word) => entry.dataset.words.includes(word));
  for (const group of document.querySelectorAll("#routes section, #schemas"))
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
  at("nothing").hidden = document.querySelector("[data-words]:not([hidden])") !== null;
}

at("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  const state = at("state");
  state.className = "";
  state.textContent = "…";
  try {
    const response = await fetch("openapi.json", { headers: authorization(), cache: "no-store" });
    const text = await response.text();
    if (response.ok) {
      spec = parse(text);
      show();
    } else {
      state.className = "failed";
    }
    state.textContent = response.ok ? "" : refusal(response.status, text);
  } catch (error) {
    state.className = "failed";
    state.textContent = failure(error);
  }
});

at("filter").addEventListener("input", narrow);

// A stand-in for the program's server, for work on the page. Never part of a build.
//
//   node mock/server.mjs [--port 8099] [--scene running|done|failed|empty|unbalanced|no-views|kafka|away] [--speed ROWS_A_SECOND]
//                        [--ahead SECONDS_ALREADY_RUN] [--token TOKEN]
//
// Serves `dist/` too, so that a built page can be looked at as the program would serve it.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { arrowBytes, EVENT_COLUMNS, jsonResult, newestRows, resultTable, STANDARD_VIEW, VIEWS } from "./data.mjs";
import * as detail from "./detail.mjs";
import { Simulation } from "./simulation.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8099" },
    scene: { type: "string", default: "running" },
    speed: { type: "string", default: "420" },
    ahead: { type: "string", default: "0" },
    token: { type: "string" },
  },
});

const ARROW = "application/vnd.apache.arrow.stream";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const DIST = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");

const simulation = new Simulation({ scene: options.scene, speed: Number(options.speed), ahead: Number(options.ahead) });
const views = options.scene === "no-views" ? [STANDARD_VIEW] : VIEWS;
const listeners = new Set();
let eventId = 0;

function send(response, name, data) {
  eventId += 1;
  response.write(`id: ${eventId}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

function snapshot(response) {
  send(response, "status", simulation.status());
  send(response, "ledger", simulation.ledger());
  send(response, "rows", newestRows(simulation));
}

setInterval(() => {
  const before = simulation.read;
  const version = simulation.tick(Date.now());
  for (const response of listeners) {
    send(response, "status", simulation.status());
    if (simulation.read !== before) send(response, "rows", newestRows(simulation));
    send(response, "ledger", simulation.ledger());
    if (version !== null) send(response, "archive", { version });
  }
}, 500);

setInterval(() => {
  for (const response of listeners) response.write(": still here\n\n");
}, 5000);

function json(response, body, status = 200) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function result(request, response, name) {
  const table = resultTable(name, simulation);
  if (table === null) return json(response, { error: `there is no view \`${name}\`` }, 404);
  if (!(request.headers.accept ?? "").includes(ARROW)) return json(response, jsonResult(table));
  response.writeHead(200, { "content-type": ARROW });
  return response.end(arrowBytes(table));
}

function tables() {
  const columns = EVENT_COLUMNS.map((column) => ({ ...column, nullable: true }));
  return [
    ...["live", "archive", "events"].map((name) => ({ name, kind: "table", columns })),
    ...views.map(({ name }) => ({ name, kind: "view", columns: [] })),
  ];
}

function api(request, response, path, search) {
  const isIn = options.token === undefined || request.headers.authorization === `Bearer ${options.token}`;
  if (path === "/api/me") return json(response, { name: null, role: isIn ? "operator" : null, login: options.token === undefined ? "none" : "token" });
  if (path === "/api/logout") return json(response, null);
  if (!isIn) return json(response, { error: "log in, or send `Authorization: Bearer …`" }, 401);
  const view = /^\/api\/views\/([^/]+)\/data$/.exec(path);
  if (view !== null) return result(request, response, decodeURIComponent(view[1]));
  switch (path) {
    case "/api/status":
      return json(response, simulation.status());
    case "/api/ledger":
      return json(response, simulation.ledger());
    case "/api/tables":
      return json(response, tables());
    case "/api/views":
      return json(response, views.map(({ name, sql, chart }) => ({ name, sql, chart })));
    case "/api/history":
      return json(response, detail.history(simulation));
    case "/api/profile":
      return json(response, detail.profile(simulation, Number(search.get("minutes"))));
    case "/api/archive":
      return json(response, detail.archive(simulation));
    case "/api/rules":
      return json(response, detail.rules());
    case "/api/row":
      return json(response, detail.row(simulation, search.get("file"), Number(search.get("row"))));
    case "/api/sql":
      return void posted(request, response, ({ sql }) => ({ ...detail.sql(simulation, sql), truncated: false, elapsed_ms: 3 }));
    case "/api/redrive/preview":
    case "/api/redrive":
      return void posted(request, response, (body) => detail.preview(simulation, path.endsWith("preview") ? body : { ...body, toml: "" }));
    case "/api/retry":
      return void posted(request, response, ({ files }) => files.map((file) => ({ file, from_row: null, refused: "it still cannot be read: the footer is cut off" })));
    case "/api/stream":
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
      return snapshot(response);
    default:
      return json(response, { error: `there is no \`${path}\`` }, 404);
  }
}

async function posted(request, response, answer) {
  let body = "";
  for await (const piece of request) body += piece;
  const said = answer(JSON.parse(body));
  json(response, said, "error" in said ? 400 : 200);
}

async function file(response, path) {
  const name = normalize(path === "/" ? "/index.html" : path);
  try {
    const body = await readFile(join(DIST, name));
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    // As the program does: paths without a dot are the page's own.
    if (path.includes(".")) json(response, { error: `there is no \`${path}\`` }, 404);
    else await file(response, "/index.html");
  }
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  if (pathname.startsWith("/api/")) api(request, response, pathname, searchParams);
  else void file(response, pathname);
}).listen(Number(options.port), "127.0.0.1", () => console.log(`mock of scene \`${options.scene}\` on http://127.0.0.1:${options.port}`));

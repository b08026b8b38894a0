// Makes a round trip with the types that openapi-typescript generates.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const [, , baseUrl, token] = process.argv;
const c = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

function check(ok: unknown, what: string, ...found: unknown[]): asserts ok {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(found)}`);
}

const created = await c.POST("/workflows", {
  body: {
    name: "Generated",
    entry: "wait",
    nodes: [
      { id: "wait", type: "time", config: { duration: "48h" } },
      { id: "done", type: "converted" },
    ],
    edges: [{ from: "wait", to: "done" }],
  },
});
check(created.data?.status === "draft", "create", created);
const path = { id: created.data.id };
const active = await c.POST("/workflows/{id}/activate", { params: { path } });
check(active.data?.status === "active", "activate", active);

const enrolled = await c.POST("/workflows/{id}/leads", {
  params: { path },
  body: { phone_number: "+14155550101", metadata: { name: "Ann" } },
});
check(enrolled.data && "phone_number" in enrolled.data, "enroll", enrolled);
const lead: components["schemas"]["Lead"] = enrolled.data;
check(lead.status === "enrolled" && lead.removal === null && lead.external_id === null && lead.metadata.name === "Ann", "lead", lead);
const file = await c.POST("/workflows/{id}/leads", {
  params: { path },
  headers: { "Content-Type": "text/csv" },
  body: "phone_number\n+14155550102\nnobody\n",
  bodySerializer: (text) => text,
});
check(file.data && "leads_enrolled" in file.data && file.data.leads_enrolled === 1 && file.data.errors.length === 1, "enroll a file", file);

const first = await c.GET("/workflows/{id}/leads", { params: { path, query: { limit: 1, status: "enrolled" } } });
check(first.data?.next_cursor && first.data.meta.total === 2, "list", first);
const next = await c.GET("/workflows/{id}/leads", {
  params: { path, query: { limit: 1, status: "enrolled", cursor: first.data.next_cursor } },
});
check(next.data?.data.length === 1 && next.data.next_cursor === null, "list on", next);
const found = await c.GET("/workflows/{id}/leads", { params: { path, query: { phone_number: "+14155550101" } } });
check(found.data?.data.length === 1 && found.data.data[0].id === lead.id, "find", found);
const history = await c.GET("/workflows/{id}/leads/{lead}/history", { params: { path: { ...path, lead: lead.id } } });
check(history.data?.history[0].status === "waiting", "history", history);

const remove = { params: { path: { ...path, lead: lead.id }, query: { reason: "said stop", skip_retries: true } } };
const removed = await c.DELETE("/workflows/{id}/leads/{lead}", remove);
check(removed.data?.status === "removed", "remove", removed);
const again = await c.DELETE("/workflows/{id}/leads/{lead}", remove);
check(again.response.status === 409 && again.error?.code === "lead_final" && again.error.lead_id === lead.id, "remove again", again);
const bad = await c.POST("/workflows/{id}/leads", { params: { path }, body: { phone_number: "nobody" } });
check(bad.response.status === 422 && bad.error?.errors?.[0].location === "body.phone_number", "refuse", bad);

// A form is read before its step is sought, so that 404 says that it was understood.
const none = await c.POST("/steps/{step}/complete", {
  params: { path: { step: "step_01kaqf5y8sf3x8zq0h0m9d2c7r" } },
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
  body: { CallStatus: "completed" },
});
check(none.response.status === 404, "complete by a form", none);
console.log("openapi-typescript: ok");

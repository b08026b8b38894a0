// Package httpapi serves an engine over HTTP: the routes, fields and status
// codes of leadflow's HTTP contract, as an http.Handler that any program can
// mount, and an OpenAPI 3.1 document that is made of the handlers themselves.
//
//	api, err := httpapi.New(eng, httpapi.Config{Token: os.Getenv("LEADFLOW_TOKEN")})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/outreach/", http.StripPrefix("/outreach", api))
//
// Everything is below /v1; the document is at /v1/openapi.json, a page for
// people at /v1/docs, and /healthz is there too. With a token configured every
// route but the health check needs it.
//
// # Answers
//
// An object always has all the fields that the contract lists for it: null
// where there is no value, {} and [] where there are none. A list ends with a
// next_cursor of null. Times are RFC 3339 in UTC.
//
// Every refusal is an RFC 9457 problem. Its type is always about:blank; what a
// program needs to tell two conflicts apart is in the member code (lead_final,
// contact_live, suppressed, workflow_status, step_finished, step_not_started,
// other_attempt, removal_pending, not_held, not_active, status_sent), beside the
// ids and the state that stand against the request. A faulty request names all its
// faults at once, each with a location that begins with body, query or path; the
// locations of a stored workflow that cannot be activated begin with none of them.
//
// # Decisions where the contract left room
//
//   - A body that is not JSON is 422, as one that is not right in another way. A
//     request with a body must say what it is: without a Content-Type it is 415.
//   - In a body a field that is null counts as left out. outcome is required.
//   - A parameter that a route does not know is refused, as is one that is given
//     twice. An empty value is refused too, but for limit, page, cursor, reason,
//     actor and sig, where it is the default. All of this comes before the values.
//   - A + that a client did not escape reaches us as a blank; before a phone number
//     it is taken for the +.
//   - A body where a route takes none is refused, but for {} in a POST.
//   - An id in a path that is no id names nothing: 404. In a query it is 422.
//   - meta.page counts on when a list is read by cursor. page and cursor exclude
//     each other.
//   - wait is answered with 202 when the time is up, and is never longer than
//     Config.MaxWait. The removal stands whatever becomes of the connection.
//   - A CSV upload that ends too early (connection, size) leaves whole rows; the
//     problem says how many. A row that was cut off is never enrolled.
//   - A file of suppressions may have a scope, an actor, and a reason and an end for
//     rows without their own, in the query. A list of suppressions for a workflow that
//     does not exist is empty. An id in a body that names no workflow is 404.
//   - A hold and a release need no body; without one, a Content-Type is not needed
//     either. A hold of a lead that is held replaces the hold.
//   - A step's completion is read before its step is looked up: a faulty body is
//     422 whatever the step. Elsewhere what is not there comes first.
//   - Bodies are refused when they nest more than 100 deep.
//   - A route that waits for an engine that does not run is 503.
//
// # Caveats
//
// A wait and an upload take longer than most requests: a server with a
// WriteTimeout or a ReadTimeout must allow for them. The handler's queries and some
// of its paths name phone numbers, so its log has paths without their queries, and
// {phone} in place of the number. A proxy in front of it logs what it was asked.
package httpapi

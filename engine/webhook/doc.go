// Package webhook is the built-in step handler: it does what a voice_call,
// message or application node stands for by asking a program of yours to, with
// an HTTP request to the url in the node's config.
//
//	h, err := webhook.New(webhook.Config{
//		CallbackURL: func(step lead.StepID) string { return "https://leads.example.com/v1/steps/" + step.String() + "/complete" },
//		Secret:      secret,
//		Allow:       []string{"https://dialer.example.com/hooks/"},
//	})
//	eng, err := engine.New(st, engine.Config{Handlers: map[string]engine.Handler{
//		"voice_call": h, "message": h, "application": h,
//	}})
//
// # The request
//
// A POST of a JSON object:
//
//	step_id, attempt    which attempt at which step; attempts count from 1
//	idempotency_key     names the attempt; also the header Idempotency-Key
//	callback_url        where to POST the outcome to, after an answer of 202: what
//	                    Config.CallbackURL returns, with attempt=N added to its query, so that
//	                    a callback that comes twice does not count for the next attempt
//	node                the node, as the workflow has it
//	lead                id, workflow_id, phone_number, external_id, time_zone, metadata
//	redelivered         true if the attempt was begun before and a crash cut it off; else
//	                    absent; also the header X-Leadflow-Redelivered
//	scheduled           {"data"} if this is a message that the node's handler scheduled
//	                    earlier and not a visit to the node; else absent
//
// Each attempt has a key of its own. A request that is made again for the same
// attempt, after a crash or because a connection broke before the answer, has
// the same: a receiver that remembers keys does nothing twice.
//
// With Config.Secret the request is signed: see [Verify], which receivers
// written in Go can call.
//
// # The answer
//
//	200 {"outcome", "data", "call_id"}
//	               done. Each field may be left out, also all of them ({}); without an
//	               outcome it is the good one of the node's type: completed for a
//	               voice_call, success for the others
//	another 2xx, or a 200 with another body (ok, a page, an object without any of
//	the fields, nothing)
//	               message and application: done, with the outcome success.
//	               voice_call: failed, without another attempt, since a call may have
//	               been made
//	202            in flight: the outcome comes to callback_url, or the step's timeout ends
//	               it. The body may be {"call_id"}
//	408, 425, 429, 5xx, no answer
//	               the attempt failed, and the node's retry policy queues the next one.
//	               Retry-After, in seconds or as a date, is the least wait before it, up
//	               to [MaxRetryAfter]
//	anything else  the step failed, without another attempt
//	no connection  the attempt was not made: it is not counted, and made later under the
//	               same key; see [engine.NotMade]
//
// A UTF-8 byte order mark before a body is skipped. Numbers in data keep their
// digits.
//
// What the table of the contract leaves open:
//
//   - A redirect is not followed. It is a final failure, whose message names where
//     it led: the target was checked when the workflow was written, and what a
//     redirect leads to was not.
//   - A 200 whose body is an object with a field of the wrong type, such as
//     {"outcome":7}, or with data that the engine refuses, is a final failure for
//     every type. The receiver has done what it was asked to, so asking again, under
//     a new key, would have it done a second time. A body of more than
//     Config.MaxAnswer bytes is not read, and taken for one without the fields.
//   - A 202 counts whatever its body is, for the same reason; a body that cannot be
//     read is logged.
//   - No connection means that no byte of the request was sent: the host's name does
//     not resolve, the connection is refused or takes too long, this process is out
//     of file descriptors, TLS fails. A certificate that is not valid is such a case
//     too, because it is nobody's outcome that one ran out: the lead waits until it is
//     mended, and the log says so. A connection that breaks later, also one that was
//     kept from a request before, is no answer.
//   - While requests to a scheme, host, port and path cannot be made, no other attempt
//     at nodes with these begins, nor before the time that a Retry-After gives, whichever
//     lead it was for; see [engine.RateKeyer]. A node may name a rate_key instead.
//   - When the engine gives an attempt up (its deadline passed, or a shutdown ran
//     out of time), the request is cut, and that is all: the engine has its own
//     rules for these.
//
// # After a crash
//
// If the process ends while a request is under way, nobody knows whether the call was
// made, and the request is made again under the same key. A receiver that can tell by
// the key should be asked first, so that nobody is called twice: put the URL to ask into
// the node's config, as
//
//	"config": {"url": "https://dialer.example.com/call", "reconcile": "https://dialer.example.com/calls"}
//
// It must be allowed as url must, and may be the same. Without it nothing is asked. The
// request is a GET, with idempotency_key=K added to the query, and K in the header
// Idempotency-Key too. Config.Timeout and Config.MaxAnswer hold for it. It is signed as
// other requests, but what is signed is K, because there is no body; a receiver in Go
// calls
//
//	webhook.Verify(r.Header, []byte(r.URL.Query().Get("idempotency_key")), secret, time.Now())
//
// The answer:
//
//	200 {"outcome", "data", "call_id"}
//	               the call was made, and this is its outcome; as above, each field may be
//	               left out
//	202            the call was made, and its outcome is still to come to callback_url. The
//	               body may be {"call_id"}
//	404            no request with that key ever came: it is made now. A URL that is wrong
//	               must not be answered with 404
//	anything else, no answer, no connection
//	               unknown: the node's field unknown says whether the request is made again
//	               ("redeliver", the default) or the step fails ("fail")
//
// See [engine.Reconciler].
//
// # Callbacks
//
// After a 202 the outcome comes to callback_url, as JSON or as a form
// (application/x-www-form-urlencoded), as telephony providers send their status
// callbacks. Package httpapi takes both at POST /v1/steps/{step}/complete. What the
// fields of a form mean is in the node's config; for Twilio's, for example:
//
//	"config": {
//	  "url": "https://dialer.example.com/call",
//	  "callback": {
//	    "outcome": {
//	      "field": "CallStatus",
//	      "map": {
//	        "completed": "completed",
//	        "no-answer": "dnp",
//	        "busy":      {"error": "busy", "retry_after": "10m"},
//	        "failed":    {"error": "the call could not be placed"},
//	        "canceled":  {"error": "canceled", "final": true}
//	      },
//	      "ignore": ["queued", "initiated", "ringing", "in-progress"]
//	    },
//	    "call_id": "CallSid",
//	    "data": ["CallDuration"]
//	  }
//	}
//
// A value of the field is mapped to an outcome, or to an error: then the attempt
// failed, and the node's retry policy decides what follows, as in [engine.Callback].
// A value to ignore is answered with 200 and changes nothing; one that is neither is
// refused with 422. The fields in data go to the history as strings, where they are
// there. A workflow with a faulty mapping is not activated.
//
// A program with a route of its own for callbacks does the same in a few lines; see
// [ParseCallback], and [CheckCallback] for its own handler. It needs no token of the
// provider if the callback URL carries a signature: see [SignCallback] and
// [VerifyCallback].
//
// # Where requests may go
//
// Whoever may write workflows says where this program sends requests, and reads
// the answers in the histories. Unless they are all trusted to do that from
// inside your network, set Config.Allow. With it every target must match an
// entry, both as it is written in the node and by the address that it resolves
// to, which is checked when the connection is made, so that a name cannot be
// moved to another address in between.
//
//	dialer.example.com              that host, on any port
//	dialer.example.com:8443         that host and port
//	https://dialer.example.com/x/   that scheme, host and port, and paths that begin so
//	192.0.2.7, 2001:db8::7          whatever resolves to the address
//	10.1.0.0/16                     whatever resolves into the network
//
// A name stands for public addresses only. One of your own network needs an
// entry for its address too: an attacker who controls a name could have it
// resolve to anything. The exception is localhost, which is nobody's to move.
//
// With Allow no proxy is used, since it is the proxy that would resolve names.
// Without Allow the proxy of the environment is (HTTPS_PROXY and its like).
package webhook

// Package console serves pages for the people who run outreach, and who answer when
// somebody says stop: an [http.Handler] that any program mounts at any path.
//
//	keeper, err := signin.New(signin.Config{Token: token, ReadToken: readToken})
//	pages, err := console.New(eng, console.Config{SignIn: keeper, API: "/api/v1"})
//	mux.Handle("/ops/", http.StripPrefix("/ops", pages))
//
// Everything on a page comes from the public methods of package engine. The pages are
// HTML that is rendered here, and all that matters works without JavaScript: every action
// is a form, every confirmation a page. A script makes pages live: it fetches a page
// again every few seconds, and puts what has changed in place. It loads nothing from
// elsewhere, and the Content-Security-Policy allows no inline script and no inline style.
//
// # Who may do what
//
// [Config].SignIn has people sign in with a token. A program with accounts of its own
// gives [Config].Authorize instead. A signin.Reader sees everything and can change
// nothing. Requests that change something are refused if another site has made them
// ([http.CrossOriginProtection]). What an operator does is in the audit trail under the
// operator's name.
//
// # Caveats
//
// Without JavaScript, times are in the zone that is chosen at the foot of the page, UTC at
// first; with it, in the browser's. Phone numbers are in paths, so they are in the log of
// a proxy that logs paths.
//
// # Files
//
//	config.go, handler.go   what a program calls
//	visit.go                one request: who asks, from where, and what is answered
//	page.go, table.go       what all pages have in common
//	person.go, lead.go, …   one page each, with its template in templates/
//	static/console.js       the script, and static/vendor/ what it uses:
//	                        idiomorph 0.8.0 (0BSD), which changes a page in place without
//	                        moving the focus, the place in the page or what somebody types
package console

// Package signin lets people sign in to pages in a browser with the token that programs
// send to the HTTP API. A [Keeper] checks the token, and gives the browser a cookie for
// half a day; package console and the docs page of package httpapi use it.
//
//	keeper, err := signin.New(signin.Config{Token: token, ReadToken: readToken})
//	pages, err := console.New(eng, console.Config{SignIn: keeper})
//
// There are two tokens: with Token a person is an [Operator], who may change things, and
// with ReadToken a [Reader], who may only look.
//
// # Guarantees
//
//   - The cookie is HttpOnly, so no script reads it, and SameSite=Lax. It is Secure if the
//     page was fetched over https, also behind a proxy that sends X-Forwarded-Proto.
//   - It is signed with a key that is derived from the token, and has no secret in it. A
//     new token ends all sessions; a restart ends none, and a session is good on every
//     server with the same token.
//   - Signing out ends the session on the server too. Other servers, and this one after a
//     restart, take a copy of the cookie until it expires.
//   - Comparing tokens takes the same time whatever the token. Wrong ones are limited: a
//     few a minute for each address, and some tens for all addresses together.
//
// SameSite keeps the cookie from requests that other sites make, except for links. A
// program that takes the cookie for requests that change something must also check where
// they come from; see [net/http.CrossOriginProtection].
package signin

// Package lead defines what a lead is: its states, the state machine that moves
// it between them, and the types that all other packages of leadflow share
// (contacts, steps, attempts, calls, ids, errors). It does no I/O and starts no
// goroutine. Its values may be copied. A [Machine] is safe for concurrent use;
// other values are safe to read concurrently, but not to change.
//
// # The machine
//
// A [Machine] decides every change of a lead's state. Its table is declared once,
// in machine.go, with github.com/looplab/fsm:
//
//	enrolled         start     in_step
//	in_step          complete  enrolled
//	in_step          retry     in_step
//	enrolled         finish    completed
//	enrolled         remove    removed
//	in_step          remove    pending_removal
//	pending_removal  retry     pending_removal
//	pending_removal  remove    pending_removal
//	pending_removal  complete  removed
//
// Completing a lead is an event of its own, finish, and not a second
// destination of complete: a lead can reach a terminal node from a wait or a
// condition, when no step of it is in flight, so there must be a transition from
// enrolled to completed anyway; and the fsm package allows an event only one
// destination from a state. When the outcome of a step leads straight to a
// terminal node, complete and finish happen in one commit, so nobody sees the
// state between them.
//
// # Ids
//
// Ids are TypeIDs: a prefix and the 26 characters of a UUIDv7. The random part
// of a lead's id and of a step's id carries the lead's sequence number (RFC
// 9562, section 6.2, allows a counter there), so a store finds a lead, and the
// lead of a step, by its integer primary key and needs no index over ids. An id
// is a name, not a secret.
package lead

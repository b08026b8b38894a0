// Package lead is the ground floor of leadflow: what a lead is, the states it
// can be in, the machine that moves it between them, and the words that the
// floors above share (steps, attempts, calls, ids, errors). It does no I/O and
// holds no goroutine; every value in it may be copied, and none is safe for
// concurrent mutation.
//
// # The machine
//
// A [Machine] decides every change of state, of one lead or of a million. Its
// table is declared once, in machine.go, with github.com/looplab/fsm:
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
// condition, when no step of it is in flight, so enrolled must lead to
// completed anyway; and an event with one destination is one that a reader, and
// the fsm package, can look up. A step whose outcome leads straight to a
// terminal node is complete and then finish, in one commit, so nobody ever
// sees the state between.
//
// # Ids
//
// Ids are TypeIDs: a prefix and the 26 characters of a UUIDv7. The random part
// of a lead's id and of a step's id carries the lead's sequence number (RFC
// 9562, section 6.2, allows a counter there), so a store finds a lead, and the
// lead of a step, by its integer primary key and needs no index over ids. An id
// is a name, not a secret.
package lead

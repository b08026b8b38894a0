// Package simulation has a workflow of thirty days and a unit test that plays it: in
// virtual time, with scripted people, in a fraction of a second. It shows what a test
// of your own workflow can look like.
//
//	go test ./examples/simulation
//
// nurture.go and optout.go are the program: the workflow, and the code that removes
// people who say stop. They do not depend on the test. nurture_test.go is the test, with
// package engine/enginetest:
//
//   - One person at a time, each scripted from the first call to the end: which path do
//     they take, and what is cancelled when they say stop?
//   - A thousand people who answer at random: how many convert, is nobody contacted
//     after stop, are there enough telephone lines? The same seed gives the same month,
//     so such a test is not flaky.
//
// When an assertion fails, the test prints the history of the lead. Change an expected
// path to see one:
//
//	lead went welcome:completed → guide:success → read → follow-up:completed → …
//	want      welcome → guide → offer → decide → closing:signed → won
//	lead wlead_01q3xsmfm0e00800000j4g4q61 (+15550000000) is completed at won:
//		2030-01-07 09:00:00.000  enrolled
//		2030-01-07 09:00:00.000  welcome attempt 1 begun
//		2030-01-07 09:03:39.197  welcome came to completed
//		2030-01-07 09:03:39.197  guide attempt 1 begun
//		…
//
// To see figures of your own workflow without writing a test, give it to
// "leadflow simulate" (examples/leadflow).
package simulation

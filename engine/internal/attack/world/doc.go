// Package world has what attacks on the engine share: an engine on a real file, with
// handlers that do as a test says, and the people whom it calls. Only tests import it.
package world

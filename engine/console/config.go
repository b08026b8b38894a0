package console

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/lead"
)

// Config sets a Handler up. Either SignIn or Authorize must be given.
type Config struct {
	// SignIn has people sign in with a token, on a page of the console.
	SignIn *signin.Keeper
	// Authorize returns who makes a request; a Person with the role signin.Nobody is
	// refused. It is called for every request but those for the style and the script, on
	// many goroutines. Its error is answered with 503, and logged. [Everybody] lets
	// everybody do everything.
	Authorize func(*http.Request) (signin.Person, error)
	// API is where the browser finds the HTTP API of package httpapi, such as "/v1" or, from
	// the console's own root, "v1". Then every table has a link to its JSON. Empty for none.
	API string
	// Webhooks, if given, tells how the hosts of webhooks have answered: the Hosts method of a
	// webhook.Handler. Without it there is no page about them.
	Webhooks func() []webhook.Host
	// Name is what the pages call this installation. Default "leadflow".
	Name string
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Logger gets what goes wrong inside; nil means slog.Default().
	Logger *slog.Logger
}

// Everybody is an Authorize that lets everybody do everything. It is for programs whose
// pages nobody but their operators can reach.
func Everybody(*http.Request) (signin.Person, error) {
	return signin.Person{Role: signin.Operator}, nil
}

func (c Config) withDefaults() Config {
	if c.SignIn != nil {
		c.Authorize = c.SignIn.Authorize
	}
	if c.Name == "" {
		c.Name = "leadflow"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	if (c.SignIn == nil) == (c.Authorize == nil) {
		return &lead.InvalidError{Subject: "console.Config", Faults: []lead.FieldError{
			{Location: "Authorize", Message: "one of SignIn and Authorize is required; console.Everybody lets everybody do everything"},
		}}
	}
	return nil
}

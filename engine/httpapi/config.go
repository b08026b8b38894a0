package httpapi

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/lead"
)

// Config sets a Handler up. The zero value works.
type Config struct {
	// Token is what clients send as "Authorization: Bearer <token>". Empty means
	// that no route needs one: then let nobody but friends reach the handler.
	Token string
	// ReadToken, when set, is a second token with which a client may read, and change
	// nothing.
	ReadToken string
	// SignIn is who takes the tokens from people in a browser, for the docs page. Requests
	// with its cookie need no Authorization header, unless another site has made them. Give
	// the Keeper of package console, so that people sign in once. Default: one with Token
	// and ReadToken.
	SignIn *signin.Keeper
	// CallbackKey, when set, lets whoever holds a signature made by SignCallback
	// complete that one step without the token.
	CallbackKey []byte
	// MaxUpload is the most bytes of a CSV upload. Default 64 MiB.
	MaxUpload int64
	// MaxBody is the most bytes of a JSON body. Default 1 MiB. A new workflow and a
	// change of one may have workflow.MaxSize bytes whatever this says.
	MaxBody int64
	// MaxWait bounds the wait parameter of a removal; a longer one is cut to it.
	// Default 60 s.
	MaxWait time.Duration
	// Clock tells the time and ends waits; nil means the real one.
	Clock engine.Clock
	// Logger gets a line per request, and what went wrong inside; nil means
	// slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxUpload = 64 << 20
	defaultMaxBody   = 1 << 20
	defaultMaxWait   = 60 * time.Second
)

func (c Config) withDefaults() Config {
	if c.MaxUpload == 0 {
		c.MaxUpload = defaultMaxUpload
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.MaxWait == 0 {
		c.MaxWait = defaultMaxWait
	}
	if c.Clock == nil {
		c.Clock = realClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// minKey is the least length of a callback key, in bytes: half of what the hash
// can use.
const minKey = 16

// validate names every fault at once.
func (c Config) validate() error {
	var faults []lead.FieldError
	fault := func(location, format string, args ...any) {
		faults = append(faults, lead.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
	}
	for location, token := range map[string]string{"Token": c.Token, "ReadToken": c.ReadToken} {
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			fault(location, "has a character that a header cannot carry")
		}
	}
	switch {
	case c.Token == "" && (c.ReadToken != "" || c.SignIn != nil):
		fault("Token", "is required with ReadToken and SignIn")
	case c.Token != "" && c.Token == c.ReadToken:
		fault("ReadToken", "must not be the same as Token")
	}
	if n := len(c.CallbackKey); n > 0 && n < minKey {
		fault("CallbackKey", "has %d bytes, fewer than %d", n, minKey)
	}
	if c.MaxUpload < 0 {
		fault("MaxUpload", "is negative")
	}
	if c.MaxBody < 0 {
		fault("MaxBody", "is negative")
	}
	if c.MaxWait < 0 {
		fault("MaxWait", "is negative")
	}
	if faults == nil {
		return nil
	}
	return &lead.InvalidError{Subject: "httpapi.Config", Faults: faults}
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

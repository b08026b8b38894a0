package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// session is what a cookie says. Its role must be that of the key which signs it.
type session struct {
	role    Role
	name    string
	expires time.Time
	id      string
}

func newSession(role Role, name string, expires time.Time) session {
	return session{role: role, name: name, expires: expires, id: rand.Text()}
}

func (s session) person() Person { return Person{Role: s.role, Name: s.name} }

// signed is a session in a cookie, as JSON.
type signed struct {
	Role    Role   `json:"r"`
	Name    string `json:"n,omitempty"`
	Expires int64  `json:"e"` // in seconds since 1970
	ID      string `json:"i"`
}

// sign returns the value of the session's cookie.
func (s session) sign(key []byte) string {
	text, _ := json.Marshal(signed{s.role, s.name, s.expires.Unix(), s.id}) // texts and numbers
	body := base64.RawURLEncoding.EncodeToString(text)
	return body + "." + base64.RawURLEncoding.EncodeToString(seal(body, key))
}

func seal(body string, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(body))
	return mac.Sum(nil)
}

// readSession reads the value of a cookie. It reports false unless it was signed with the
// key.
func readSession(value string, key []byte) (session, bool) {
	body, seal64, _ := strings.Cut(value, ".")
	given, err := base64.RawURLEncoding.DecodeString(seal64)
	if err != nil || !hmac.Equal(given, seal(body, key)) {
		return session{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return session{}, false
	}
	var s signed
	if err := json.Unmarshal(text, &s); err != nil {
		return session{}, false
	}
	return session{s.Role, s.Name, time.Unix(s.Expires, 0), s.ID}, true
}

// ended are the sessions that were signed out before they expired.
type ended struct {
	mu   sync.Mutex
	till map[string]time.Time // by id, until when it must be remembered
}

// mostEnded is how many are remembered. Only who is signed in can end a session.
const mostEnded = 10_000

func (e *ended) add(id string, expires, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.till == nil {
		e.till = map[string]time.Time{}
	}
	if len(e.till) >= mostEnded {
		for other, till := range e.till {
			if !now.Before(till) || len(e.till) >= mostEnded {
				delete(e.till, other)
			}
		}
	}
	e.till[id] = expires
}

func (e *ended) has(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, has := e.till[id]
	return has
}

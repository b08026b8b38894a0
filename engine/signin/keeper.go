package signin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leadflow-go/leadflow/lead"
)

// Role is what a person may do. The zero Role is Nobody.
type Role uint8

// The roles.
const (
	Nobody   Role = iota // nothing
	Reader               // look at everything
	Operator             // look at everything, and change it
)

func (r Role) String() string {
	switch r {
	case Reader:
		return "read-only"
	case Operator:
		return "operator"
	}
	return "nobody"
}

// Person is who made a request.
type Person struct {
	Role Role
	Name string // stands in the audit trail as the actor; may be empty
}

// Config sets a Keeper up. Token must be given.
type Config struct {
	Token     string        // makes a person an Operator
	ReadToken string        // makes a person a Reader; empty for none
	Lifetime  time.Duration // of a session. Default 12 h
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

const defaultLifetime = 12 * time.Hour

// MaxName is the most bytes of a person's name. The rest is cut off.
const MaxName = 100

// Keeper knows who is signed in. It is safe for concurrent use.
type Keeper struct {
	config  Config
	cookie  string // its name
	secrets map[Role]secret
	tries   tries
	ended   ended
}

// secret is what a Keeper keeps of a token.
type secret struct {
	hash [sha256.Size]byte // of the token, for comparing
	key  []byte            // signs the sessions of those who have the token
}

// New returns a Keeper. A faulty Config is a [lead.InvalidError] that names every fault.
func New(c Config) (*Keeper, error) {
	var faults []lead.FieldError
	if c.Token == "" {
		faults = append(faults, lead.FieldError{Location: "Token", Message: "is required"})
	}
	if c.Token != "" && c.Token == c.ReadToken {
		faults = append(faults, lead.FieldError{Location: "ReadToken", Message: "must not be the same as Token"})
	}
	if c.Lifetime < 0 {
		faults = append(faults, lead.FieldError{Location: "Lifetime", Message: "must not be negative"})
	}
	if faults != nil {
		return nil, &lead.InvalidError{Subject: "signin.Config", Faults: faults}
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Keeper{config: c, secrets: map[Role]secret{Operator: newSecret(c.Token)}}
	if c.ReadToken != "" {
		k.secrets[Reader] = newSecret(c.ReadToken)
	}
	// A browser sends the cookies of all ports of a host, so those of two servers must
	// have different names.
	k.cookie = "leadflow_" + hex.EncodeToString(derive(c.Token, "cookie")[:4])
	return k, nil
}

func newSecret(token string) secret {
	return secret{hash: sha256.Sum256([]byte(token)), key: derive(token, "session")}
}

func derive(token, purpose string) []byte {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("leadflow sign-in " + purpose))
	return mac.Sum(nil)
}

// ErrWrongToken: the token is none that signs anybody in.
var ErrWrongToken = errors.New("signin: wrong token")

// TooManyError refuses to look at a token, because too many wrong ones were tried.
type TooManyError struct {
	RetryAfter time.Duration
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("signin: too many wrong tokens; try again in %s", e.RetryAfter)
}

// RoleOf returns whose token it is, Nobody for a wrong one. It takes the same time for
// every token of the same length, right or wrong.
func (k *Keeper) RoleOf(token string) Role {
	hash, role := sha256.Sum256([]byte(token)), Nobody
	for of, s := range k.secrets {
		role = Role(subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], s.hash[:]), int(of), int(role)))
	}
	return role
}

// SignIn begins a session if the token is right, and sets its cookie. name is what the
// person wants to be called, and may be empty. The error is ErrWrongToken or a
// *TooManyError.
func (k *Keeper) SignIn(w http.ResponseWriter, r *http.Request, token, name string) (Person, error) {
	now := k.config.Now()
	giveBack, err := k.tries.take(clientOf(r), now)
	if err != nil {
		return Person{}, err
	}
	role := k.RoleOf(strings.TrimSpace(token))
	if role == Nobody {
		return Person{}, ErrWrongToken
	}
	giveBack()
	s := newSession(role, cleanName(name), now.Add(k.config.Lifetime))
	http.SetCookie(w, &http.Cookie{
		Name: k.cookie, Value: s.sign(k.secrets[role].key), Path: "/", MaxAge: int(k.config.Lifetime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure(r),
	})
	return s.person(), nil
}

// cleanName returns a name as it can stand in the audit trail.
func cleanName(name string) string {
	name = strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), " ")
	if len(name) > MaxName {
		cut := MaxName
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut]
	}
	return name
}

// secure reports whether the browser has fetched the page over https.
func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// Authorize returns who made a request, by its cookie. Without a session that is good it
// is a Person with the Role Nobody. The error is always nil.
func (k *Keeper) Authorize(r *http.Request) (Person, error) {
	if s, ok := k.session(r); ok {
		return s.person(), nil
	}
	return Person{}, nil
}

func (k *Keeper) session(r *http.Request) (session, bool) {
	for _, c := range r.CookiesNamed(k.cookie) {
		for _, s := range k.secrets {
			if found, ok := readSession(c.Value, s.key); ok && k.config.Now().Before(found.expires) && !k.ended.has(found.id) {
				return found, true
			}
		}
	}
	return session{}, false
}

// SignOut ends the session that the request belongs to, if any, and deletes its cookie.
func (k *Keeper) SignOut(w http.ResponseWriter, r *http.Request) {
	if s, ok := k.session(r); ok {
		k.ended.add(s.id, s.expires, k.config.Now())
	}
	http.SetCookie(w, &http.Cookie{
		Name: k.cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure(r),
	})
}

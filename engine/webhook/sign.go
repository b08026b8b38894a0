package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// MaxAge is how far the time of a signature may be from the receiver's, both
// ways.
const MaxAge = 5 * time.Minute

// Errors of Verify and VerifyCallback.
var (
	// ErrSignature: the request is not signed, or not with this secret, or it was
	// changed on its way.
	ErrSignature = errors.New("webhook: no valid signature")
	// ErrStale: the signature is valid, and older or newer than MaxAge: somebody
	// may be sending a request again that was overheard.
	ErrStale = errors.New("webhook: the signature is too old, or of the future")
)

const signatureScheme = "v1="

// Verify checks, for a receiver, that a request was signed with the secret, and
// within [MaxAge] of now. The error matches [ErrSignature] or [ErrStale].
//
//	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//	…
//	if err := webhook.Verify(r.Header, body, secret, time.Now()); err != nil {
//		http.Error(w, err.Error(), http.StatusUnauthorized)
//		return
//	}
//
// For receivers in other languages: X-Leadflow-Timestamp is the time in whole
// seconds since 1970, and X-Leadflow-Signature is "v1=" and, in lower-case
// hexadecimal digits, the HMAC-SHA256, under the secret, of the timestamp's
// text, a full stop, and the body's bytes; of a request without a body, the GET that
// asks what became of an attempt, the idempotency key is signed instead. Compare it in constant time. If the
// header has several values with commas between them, one of them must do.
func Verify(header http.Header, body, secret []byte, now time.Time) error {
	if len(secret) == 0 {
		return errors.New("webhook: Verify needs a secret")
	}
	timestamp := header.Get(HeaderTimestamp)
	want := mac(timestamp, body, secret)
	valid := false
	for part := range strings.SplitSeq(header.Get(HeaderSignature), ",") {
		digits, ok := strings.CutPrefix(strings.TrimSpace(part), signatureScheme)
		if !ok {
			continue
		}
		got, err := hex.DecodeString(digits)
		if err == nil && hmac.Equal(got, want) { // in constant time
			valid = true
		}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if !valid || err != nil {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxAge || age < -MaxAge {
		return fmt.Errorf("%w: signed at %s", ErrStale, time.Unix(seconds, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// Sign adds the headers that [Verify] reads, as a [Handler] does to its requests: for
// the tests of a receiver, or for a program that sends such requests itself. now is
// the time of signing.
func Sign(header http.Header, body, secret []byte, now time.Time) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	header.Set(HeaderTimestamp, timestamp)
	header.Set(HeaderSignature, signatureScheme+hex.EncodeToString(mac(timestamp, body, secret)))
}

func mac(timestamp string, body, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// SignCallback returns the signature that lets whoever holds it complete a step and
// nothing else: put it into the URL that [Config].CallbackURL returns, and check it
// with [VerifyCallback] where the callback comes in. It is the HMAC-SHA256, under the
// key, of the step's id, in unpadded base64url.
//
// The routes of package httpapi do that for their parameter sig, under their
// Config.CallbackKey.
func SignCallback(key []byte, step lead.StepID) string {
	return base64.RawURLEncoding.EncodeToString(callbackMAC(key, step))
}

// VerifyCallback checks a signature that [SignCallback] made with the key for the
// step. It has no expiry: a step takes one outcome anyway. The error matches
// [ErrSignature].
func VerifyCallback(key []byte, step lead.StepID, signature string) error {
	if len(key) == 0 {
		return errors.New("webhook: VerifyCallback needs a key")
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || !hmac.Equal(got, callbackMAC(key, step)) { // in constant time
		return ErrSignature
	}
	return nil
}

func callbackMAC(key []byte, step lead.StepID) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(step.String()))
	return h.Sum(nil)
}

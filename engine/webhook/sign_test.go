package webhook

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

var secret = []byte("a secret of the receiver")

func TestSignedRequestsVerify(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
	c := Config{Secret: append([]byte(nil), secret...)}
	h := newTest(t, c)
	clear(c.Secret) // the handler has its own
	if _, err := h.Handle(t.Context(), attemptAt(t, r.URL)); err != nil {
		t.Fatal(err)
	}
	got := r.seen()[0]
	if err := Verify(got.header, got.body, secret, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestTheSignatureIsTheOneDescribed holds the recipe to a value that was worked
// out elsewhere:
//
//	printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
func TestTheSignatureIsTheOneDescribed(t *testing.T) {
	header := http.Header{}
	Sign(header, []byte(`{"a":1}`), []byte("key"), time.Unix(1_700_000_000, 999))
	if got, want := header.Get("X-Leadflow-Signature"), "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := header.Get("X-Leadflow-Timestamp"); got != "1700000000" {
		t.Errorf("timestamp %s", got)
	}
}

func TestForgedAndStaleRequestsDoNotVerify(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"step_id":"step_1"}`)
	signed := func() http.Header {
		h := http.Header{}
		Sign(h, body, secret, now)
		return h
	}
	signature := signed().Get(HeaderSignature)
	other := http.Header{}
	Sign(other, body, []byte("another"), now)
	for name, c := range map[string]struct {
		change func(h http.Header)
		body   string
		now    time.Time
		want   error
	}{
		"as sent":             {},
		"late":                {now: now.Add(MaxAge)},
		"early":               {now: now.Add(-MaxAge)},
		"stale":               {now: now.Add(MaxAge + time.Second), want: ErrStale},
		"of the future":       {now: now.Add(-MaxAge - time.Second), want: ErrStale},
		"another body":        {body: `{"step_id":"step_2"}`, want: ErrSignature},
		"longer body":         {body: string(body) + " ", want: ErrSignature},
		"another time":        {change: func(h http.Header) { h.Set(HeaderTimestamp, "1700000001") }, want: ErrSignature},
		"the time elsewhere":  {change: func(h http.Header) { h.Set(HeaderTimestamp, "170000000") }, body: "0." + string(body), want: ErrSignature},
		"no time":             {change: func(h http.Header) { h.Del(HeaderTimestamp) }, want: ErrSignature},
		"no signature":        {change: func(h http.Header) { h.Del(HeaderSignature) }, want: ErrSignature},
		"another secret":      {change: func(h http.Header) { h.Set(HeaderSignature, other.Get(HeaderSignature)) }, want: ErrSignature},
		"another scheme":      {change: func(h http.Header) { h.Set(HeaderSignature, "v0"+signature[2:]) }, want: ErrSignature},
		"no digits":           {change: func(h http.Header) { h.Set(HeaderSignature, "v1=xyz") }, want: ErrSignature},
		"an empty signature":  {change: func(h http.Header) { h.Set(HeaderSignature, "v1=") }, want: ErrSignature},
		"a shorter signature": {change: func(h http.Header) { h.Set(HeaderSignature, signature[:len(signature)-2]) }, want: ErrSignature},
		"one of two":          {change: func(h http.Header) { h.Set(HeaderSignature, other.Get(HeaderSignature)+", "+signature) }},
	} {
		h := signed()
		if c.change != nil {
			c.change(h)
		}
		if c.body == "" {
			c.body = string(body)
		}
		if c.now.IsZero() {
			c.now = now
		}
		if err := Verify(h, []byte(c.body), secret, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := Verify(signed(), body, nil, now); err == nil {
		t.Error("without a secret everything verifies")
	}
}

// TestSignaturesAreComparedInConstantTime looks at the code: a clock cannot
// tell on a busy machine.
func TestSignaturesAreComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "sign.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constant := 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			pkg, _ := n.X.(*ast.Ident)
			switch {
			case pkg != nil && pkg.Name == "hmac" && n.Sel.Name == "Equal":
				constant++
			case n.Sel.Name == "Equal", n.Sel.Name == "Compare", n.Sel.Name == "EqualFold":
				t.Errorf("%s is called, which stops at the first difference", n.Sel.Name)
			}
		case *ast.BinaryExpr:
			for _, side := range []ast.Expr{n.X, n.Y} {
				if id, ok := side.(*ast.Ident); ok && (id.Name == "want" || id.Name == "got" || id.Name == "digits") && (n.Op == token.EQL || n.Op == token.NEQ) {
					t.Errorf("%s is compared with %s", id.Name, n.Op)
				}
			}
		}
		return true
	})
	if constant != 2 {
		t.Errorf("hmac.Equal is called %d times", constant)
	}
}

func TestASignedCallbackIsForOneStepAndOneKey(t *testing.T) {
	key := []byte("0123456789abcdef")
	step := attemptAt(t, "").StepID
	at := time.UnixMilli(1_700_000_000_001)
	id, err := lead.NewID(at, 8)
	if err != nil {
		t.Fatal(err)
	}
	other := lead.NewStepID(at, id, 1)
	signature := SignCallback(key, step)
	if err := VerifyCallback(key, step, signature); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another step":     VerifyCallback(key, other, signature),
		"another key":      VerifyCallback([]byte("another"), step, signature),
		"nothing":          VerifyCallback(key, step, ""),
		"a part":           VerifyCallback(key, step, signature[:42]),
		"more":             VerifyCallback(key, step, signature+"A"),
		"of another step":  VerifyCallback(key, step, SignCallback(key, other)),
		"no base64 at all": VerifyCallback(key, step, "%%%"),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := VerifyCallback(nil, step, SignCallback(nil, step)); err == nil {
		t.Error("without a key everything verifies")
	}
}

// A program that embeds the engine, and adds callbacks, needs no further module: one
// go mod tidy does.
func TestThePackageNeedsNoModuleOfItsOwn(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !strings.HasPrefix(path, "github.com/leadflow-go/leadflow/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

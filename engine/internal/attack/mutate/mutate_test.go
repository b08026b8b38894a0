package mutate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a package that mutants change in these tests.
var sample = map[string]string{
	"one.go": `package sample

// T counts. It has no limit, if limit is 0.
type T[K any] struct{ n, limit int }

const query = ` + "`SELECT  a\n\t\tFROM t WHERE a = 1 AND b = 1`" + `

var table = []struct{ name string; next int }{
	{name: "a", next: 1},
	{name: "b", next: 2},
}

func (t *T[K]) add(n int) bool {
	if t.limit > 0 && t.n+n > t.limit { // too many
		return false
	}
	t.n += n
	return check(
		t.n,
		n,
	)
}
`,
	"two.go": `package sample

func check(n, m int) bool {
	n--
	return n > m
}

func add(n int) int { return n + 1 }
`,
	"two_test.go":  "package sample\n\nfunc add() {}\n",
	"two_plan9.go": "package sample\n\nfunc add(n int) int { return n + 1 }\n", // built elsewhere
}

// writeSample returns the top of a module that has the package in folder p.
func writeSample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "p"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range sample {
		if err := os.WriteFile(filepath.Join(dir, "p", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAMutantChangesWhatItNames(t *testing.T) {
	for _, tt := range []struct {
		name          string
		decl, old, by string
		text          bool
		file, want    string // what the changed file has
	}{
		{"an expression", "T.add", "t.n + n > t.limit", "false", false, "one.go", "if t.limit > 0 && false {"},
		{"written otherwise", "T.add", "t . n+n /* all */ >\nt.limit", "false", false, "one.go", "&& false { // too many"},
		{"the head of a statement", "T.add", "if t.limit > 0 && t.n+n > t.limit {", "if false {", false, "one.go", "if false { // too many"},
		{"a statement", "check", "n--", "", false, "two.go", "bool {\n\t\n\treturn"},
		{"statements", "check", "n--\nreturn n > m", "return n < m", false, "two.go", "{\n\treturn n < m\n}"},
		{"a call in one line", "T.add", "return check(t.n, n)", "return check(n, t.n)", false, "one.go", "return check(n, t.n)\n"},
		{"a function, not the method", "add", "n + 1", "n - 1", false, "two.go", "return n - 1 }"},
		{"a row of a table", "table", `name: "b", next: 2`, `name: "b", next: 1`, false, "one.go", `{name: "b", next: 1},`},
		{"a text", "query", "SELECT a FROM t", "SELECT b FROM t", true, "one.go", "`SELECT b FROM t WHERE a = 1"},
		{"a type", "T", "n, limit int", "n, limit int64", false, "one.go", "type T[K any] struct{ n, limit int64 }"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Mutant{Changes: []Change{{Package: "p", Decl: tt.decl, InText: tt.text, Old: tt.old, New: tt.by}}}
			files, err := m.Apply(writeSample(t))
			if err != nil {
				t.Fatal(err)
			}
			if got := files["p/"+tt.file]; len(files) != 1 || !strings.Contains(got, tt.want) {
				t.Errorf("%d files change; %s is\n%s\nwhich has no %q", len(files), tt.file, got, tt.want)
			}
		})
	}
}

func TestAMutantThatIsNone(t *testing.T) {
	for _, tt := range []struct {
		name          string
		decl, old, by string
		text          bool
		want          string
	}{
		{"of no declaration", "T.remove", "n", "m", false, "0 files"},
		{"of nothing", "check", "n++", "", false, "0 times"},
		{"of too much", "check", "n", "m", false, "3 times"},
		{"of a comment", "T.add", "too many", "few", false, "0 times"},
		{"of a text too much", "query", "= 1", "= 2", true, "2 times"},
		{"of code as a text", "check", "return n", "return m", true, "0 times"},
		{"that changes nothing", "check", "n--", "n--", false, "changes nothing"},
		{"that is no Go", "check", "n--", "n-", false, "not valid Go"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Mutant{Changes: []Change{{Package: "p", Decl: tt.decl, InText: tt.text, Old: tt.old, New: tt.by}}}
			if _, err := m.Apply(writeSample(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestAMutantMayChangeSeveralThings(t *testing.T) {
	m, err := Parse(`Nothing is counted.

test: ./p TestAdd/one|TestCheck
attack:

--- in p check
--- replace
n--
--- by
--- replace
n > m
--- by
n < m
--- in p T.add
--- replace
t.n += n
--- by
t.n = n
`)
	if err != nil {
		t.Fatal(err)
	}
	if m.Breaks != "Nothing is counted." || m.Test != (Trial{"./p", "TestAdd/one|TestCheck"}) || m.Attack != "" || len(m.Changes) != 3 {
		t.Errorf("%+v", m)
	}
	files, err := m.Apply(writeSample(t))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(files["p/two.go"], "return n < m") || strings.Contains(files["p/two.go"], "n--") || !strings.Contains(files["p/one.go"], "t.n = n") {
		t.Errorf("the files are %q", files)
	}
}

func TestATextThatIsNoMutant(t *testing.T) {
	const head = "It breaks.\n\ntest: ./p TestAdd\nattack: model\n"
	for name, text := range map[string]string{
		"no head":         "--- in p check\n--- replace\nn\n--- by\nm\n",
		"no test":         "It breaks.\n\ntest: ./p\nattack:\n\n--- in p check\n--- replace\nn\n--- by\nm\n",
		"no change":       head,
		"no place":        head + "\n--- replace\nn\n--- by\nm\n",
		"half a place":    head + "\n--- in p\n--- replace\nn\n--- by\nm\n",
		"nothing by what": head + "\n--- in p check\n--- replace\nn\n",
		"by of nothing":   head + "\n--- in p check\n--- by\nn\n",
		"another word":    head + "\n--- in p check\n--- swap\nn\n--- by\nm\n",
		"an empty text":   head + "\n--- in p check\n--- replace\n\n--- by\nm\n",
	} {
		if m, err := Parse(text); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestWhoCaughtAMutantIsRead(t *testing.T) {
	for output, want := range map[string]string{
		"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.1s)\n        --- FAIL: TestA/b/c (0s)\n--- FAIL: TestD (0s)\nFAIL": "TestA/b/c",
		"panic: test timed out after 5m0s\n\trunning tests:\n\t\tTestSlow (5m0s)\n":                                          "TestSlow (hangs)",
		"fatal error: all goroutines are asleep - deadlock!\n":                                                               "fatal error: all goroutines are asleep - deadlock!",
		"# p\np/one.go:3:1: syntax error\nFAIL\tp [build failed]\n":                                                          "",
	} {
		if got := firstFailed(output); got != want {
			t.Errorf("%q was read as %q, want %q", output, got, want)
		}
	}
}

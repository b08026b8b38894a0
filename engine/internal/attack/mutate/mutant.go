// Package mutate tests the tests. A [Mutant] is a fault that is put into the engine or a
// store on purpose. The tests that it names must notice it and, usually, one of the
// attacks too. If no test notices a mutant, a promise could be broken unnoticed.
//
// A mutant is a text file in testdata. It names what it changes by package, function and
// source text, without regard to white space and comments, so that a function may move
// to another file:
//
//	A sentence that says how the code behaves with this fault.
//
//	test: ./store/sqlite TestContract/a_stale_version
//	attack: model
//
//	--- in store/sqlite tx.update
//	--- replace
//	row.version != before.Version
//	--- by
//	false
//
// A file may have several changes; "--- in" holds for all that follow it. It names a
// function, Type.method, or a variable, constant or type of the package. The text to be
// replaced is any sequence of tokens that occurs there once. "--- replace text" replaces
// a part of a string literal instead, such as SQL.
//
// The source tree is not changed: the go command gets the changed files as an overlay.
// Only .ci/soak runs the mutants; see TestMutants.
package mutate

import (
	"fmt"
	"go/build"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mutant is a deliberate fault.
type Mutant struct {
	Name    string
	Breaks  string // what is wrong then, as a sentence
	Test    Trial  // the tests that must notice it
	Attack  string // the attack that must notice it, by name; "" for none
	Changes []Change
}

// Change replaces a text of a declaration.
type Change struct {
	Package string // its folder, from the top of the module
	Decl    string // a function, Type.method, variable, constant or type
	InText  bool   // Old is a part of the string literals in it
	Old     string
	New     string
}

// Trial is a choice of tests of a package.
type Trial struct {
	Package string // as the go command takes it
	Tests   string // for -run
}

func (t Trial) String() string { return t.Package + " -run '" + t.Tests + "'" }

// ReadAll reads all mutants of a folder. attacks are the names that a mutant's
// attack may have.
func ReadAll(folder string, attacks []string) ([]*Mutant, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []*Mutant
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := Parse(string(text))
		if err == nil && m.Attack != "" && !slices.Contains(attacks, m.Attack) {
			err = fmt.Errorf("attack %q: must be one of %v, or empty", m.Attack, attacks)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		m.Name = strings.TrimSuffix(filepath.Base(file), ".txt")
		all = append(all, m)
	}
	return all, nil
}

// Parse reads a mutant.
func Parse(text string) (*Mutant, error) {
	head, rest, _ := strings.Cut(text, "\n---")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	if len(lines) != 4 || lines[1] != "" {
		return nil, fmt.Errorf("must begin with a sentence, an empty line, and the fields test and attack")
	}
	m := &Mutant{Breaks: lines[0]}
	test, isTest := strings.CutPrefix(lines[2], "test: ")
	attack, isAttack := strings.CutPrefix(lines[3], "attack:")
	m.Test.Package, m.Test.Tests, _ = strings.Cut(test, " ")
	if m.Attack = strings.TrimSpace(attack); !isTest || !isAttack || m.Test.Tests == "" {
		return nil, fmt.Errorf("must have test: PACKAGE REGEXP, and attack: NAME or nothing")
	}
	in, change := Change{}, (*Change)(nil)
	for part := range strings.SplitSeq("---"+rest, "\n---") {
		part = strings.TrimPrefix(part, "---")
		key, body, _ := strings.Cut(part, "\n")
		switch key = strings.TrimSpace(key); {
		case strings.HasPrefix(key, "in "):
			fields := strings.Fields(key)
			if len(fields) != 3 {
				return nil, fmt.Errorf("%q: must be --- in PACKAGE DECLARATION", key)
			}
			in.Package, in.Decl = fields[1], fields[2]
		case key == "replace" || key == "replace text":
			if in.Decl == "" || strings.TrimSpace(body) == "" {
				return nil, fmt.Errorf("--- replace: wants --- in before it, and a text")
			}
			m.Changes = append(m.Changes, Change{Package: in.Package, Decl: in.Decl, InText: key != "replace", Old: body})
			change = &m.Changes[len(m.Changes)-1]
		case key == "by" && change != nil:
			change.New, change = body, nil
		default:
			return nil, fmt.Errorf("--- %s: must be in, replace, replace text, or by after one of these", key)
		}
	}
	if len(m.Changes) == 0 || change != nil {
		return nil, fmt.Errorf("must have a --- replace and a --- by")
	}
	return m, nil
}

// Apply returns the files that the mutant changes, with the changes, by path from the
// top of the module. The error says why the mutant does not fit the code any more.
func (m *Mutant) Apply(top string) (map[string]string, error) {
	files := map[string]string{}
	for _, c := range m.Changes {
		if err := c.apply(top, files); err != nil {
			return nil, fmt.Errorf("in %s %s: %w", c.Package, c.Decl, err)
		}
	}
	return files, nil
}

// apply makes the change. changed has the files that earlier changes have changed.
func (c *Change) apply(top string, changed map[string]string) error {
	paths, err := filepath.Glob(filepath.Join(top, c.Package, "*.go"))
	if err != nil {
		return err
	}
	source := map[string]string{}
	for _, path := range paths {
		name := filepath.ToSlash(filepath.Join(c.Package, filepath.Base(path)))
		built, err := build.Default.MatchFile(filepath.Dir(path), filepath.Base(path))
		if err != nil {
			return err
		}
		if !built || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, ok := changed[name]
		if !ok {
			read, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(read)
		}
		source[name] = text
	}
	found := 0
	for _, name := range slices.Sorted(maps.Keys(source)) {
		text, has, err := c.in(source[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if has {
			found++
			changed[name] = text
		}
	}
	if found != 1 {
		return fmt.Errorf("%d files declare it, must be one", found)
	}
	return nil
}

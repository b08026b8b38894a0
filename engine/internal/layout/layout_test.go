// Package layout has the rules of the module's layout as tests: which package may
// import which, and what every package has.
package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/leadflow-go/leadflow/"
	top    = "../../.." // of the module, from here
)

// source is one Go file of the module.
type source struct {
	path string // from the top of the module
	dir  string
	file *ast.File
	test bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	root := os.DirFS(top)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && len(path) > 1 && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // as the go command does
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{path, filepath.Dir(path), file, strings.HasSuffix(path, "_test.go")})
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d files, %v", len(out), err)
	}
	return out
}

// layers are the folders at the top, from the lowest up. A package may import
// its own layer and those below.
var layers = []string{"lead", "store", "engine", "examples"}

// only says what packages of the module a package may import at most, with those
// below them.
var only = map[string][]string{
	"engine/workflow":      {"lead", "engine/workflow", "engine/internal/hours"},
	"engine":               {"lead", "store", "engine/workflow", "engine/internal"}, // stores by their interface
	"engine/internal/core": {"lead", "store", "engine/workflow", "engine/internal/hours"},
	"engine/internal/run":  {"lead", "store", "engine/workflow", "engine/internal"},
}

// impure are the packages of the standard library that the core does without: it
// has no goroutine, no clock, no I/O and no lock.
var impure = []string{"sync", "sync/atomic", "context", "os", "io", "net", "net/http", "log", "log/slog", "math/rand", "math/rand/v2"}

func TestImportsRunOneWay(t *testing.T) {
	layer := func(path string) int { return slices.Index(layers, strings.Split(path, "/")[0]) }
	for _, s := range sources(t) {
		if layer(s.path) < 0 {
			t.Errorf("%s is in no layer", s.path)
		}
		if s.test {
			continue // tests of the engine use a real store
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if s.dir == "engine/internal/core" && slices.Contains(impure, path) {
				t.Errorf("%s imports %s: the core is pure", s.path, path)
			}
			inner, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if layer(inner) > layer(s.path) {
				t.Errorf("%s imports %s, a layer above", s.path, inner)
			}
			if most, ok := only[s.dir]; ok && !slices.ContainsFunc(most, func(of string) bool {
				return inner == of || strings.HasPrefix(of, "engine/") && strings.HasPrefix(inner, of+"/")
			}) {
				t.Errorf("%s imports %s, and may import only %v", s.path, inner, most)
			}
		}
	}
}

// testSupport are the packages that tests import, and production does not. Some
// import testing.
var testSupport = []string{
	"store/storetest", "store/faulty", "store/sqlite/disktest", "store/sqlite/raw", "engine/enginetest",
	"engine/internal/attack/life", "engine/internal/attack/world", "engine/internal/attack/mutate",
}

func TestProductionImportsNoTesting(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || slices.Contains(testSupport, s.dir) && s.dir != "engine/enginetest" {
			continue
		}
		for _, i := range s.file.Imports {
			switch path, _ := strconv.Unquote(i.Path.Value); {
			case path == module+"engine/enginetest" && strings.HasPrefix(s.dir, "examples/"):
				// A simulation is a program too, which is why enginetest itself may not
				// import testing.
			case path == "testing" || strings.HasPrefix(path, "testing/"),
				slices.Contains(testSupport, strings.TrimPrefix(path, module)),
				strings.HasPrefix(path, "github.com/google/go-cmp"), strings.HasPrefix(path, "go.uber.org/goleak"),
				strings.HasPrefix(path, "pgregory.net/rapid"), strings.HasPrefix(path, "github.com/anishathalye/porcupine"):
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

func TestEveryPackageHasOneDoc(t *testing.T) {
	docs := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		docs[s.dir] += 0
		if s.file.Doc != nil {
			docs[s.dir]++
		}
	}
	for dir, n := range docs {
		if n != 1 {
			t.Errorf("%s has %d package comments, want one", dir, n)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && receiverExported(d) && !plainMethod(d.Name.Name) {
					t.Errorf("%s: %s has no comment", s.path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: type %s has no comment", s.path, ts.Name.Name)
					}
				}
			}
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// plainMethod reports methods whose meaning the standard library fixes.
func plainMethod(name string) bool {
	return slices.Contains([]string{"Error", "String", "Unwrap", "Is"}, name)
}

func TestTopLevelIsTheLayers(t *testing.T) {
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(layers, name) {
			t.Errorf("%s is in no layer", name)
		}
	}
}

package engine_test

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

const module = "github.com/leadflow-go/leadflow/"

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
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
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

// floors are the floors of the house, from the ground up. A package may import
// its own floor and those below.
var floors = []string{"lead", "store", "engine", "examples"}

func TestImportsRunOneWay(t *testing.T) {
	floor := func(path string) int { return slices.Index(floors, strings.Split(path, "/")[0]) }
	for _, s := range sources(t) {
		if floor(s.path) < 0 {
			t.Errorf("%s is on no floor of the house", s.path)
		}
		if s.test {
			continue // tests of the engine use a real store
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			inner, ours := strings.CutPrefix(path, module)
			if ours && floor(inner) > floor(s.path) {
				t.Errorf("%s imports %s, a floor above", s.path, inner)
			}
			if ours && floor(inner) == floor("engine") && floor(s.path) == floor("engine") && s.dir == "engine/workflow" {
				t.Errorf("%s imports %s: a workflow knows nothing of the engine", s.path, inner)
			}
			if ours && strings.HasPrefix(inner, "store/") && s.dir == "engine" {
				t.Errorf("%s imports %s: the engine knows stores by their interface", s.path, inner)
			}
		}
	}
}

// testSupport are the packages that tests import, and production does not.
var testSupport = []string{
	"store/storetest", "store/faulty", "engine/internal/attack/world", "store/sqlite/disktest", "store/sqlite/raw", "engine/enginetest",
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

func TestTopLevelIsTheHouse(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() && !strings.HasPrefix(name, ".") && !slices.Contains(floors, name) {
			t.Errorf("%s stands beside the house", name)
		}
	}
}

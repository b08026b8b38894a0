package mutate

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"regexp"
	"strings"
)

// in returns the file with the change, and whether the file has the declaration that is
// to be changed.
func (c *Change) in(source string) (changed string, has bool, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", false, err
	}
	node := find(file, c.Decl)
	if node == nil {
		return "", false, nil
	}
	begin, end := fset.Position(node.Pos()).Offset, fset.Position(node.End()).Offset
	decl := source[begin:end]
	if c.InText {
		decl, err = replaceText(decl, c.Old, c.New)
	} else {
		decl, err = replaceTokens(decl, c.Old, c.New)
	}
	if err != nil {
		return "", true, err
	}
	changed = source[:begin] + decl + source[end:]
	switch _, err := parser.ParseFile(fset, "", changed, parser.SkipObjectResolution); {
	case err != nil:
		return "", true, fmt.Errorf("is not valid Go after the change: %w", err)
	case changed == source:
		return "", true, errors.New("changes nothing")
	}
	return changed, true, nil
}

// find returns the declaration of that name, or nil.
func find(file *ast.File, name string) ast.Node {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if receiver(d)+d.Name.Name == name {
				return d
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == name {
						return s
					}
				case *ast.ValueSpec:
					for _, id := range s.Names {
						if id.Name == name {
							return s
						}
					}
				}
			}
		}
	}
	return nil
}

// receiver returns "T." for a method of T or *T.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.IndexListExpr:
			t = of.X
		case *ast.Ident:
			return of.Name + "."
		default:
			return "?."
		}
	}
}

// piece is a token and its position.
type piece struct {
	text       string
	begin, end int
}

// tokens splits source text. Comments, the ends of lines and commas before a
// closing bracket are left out.
func tokens(source string) ([]piece, error) {
	var s scanner.Scanner
	var failed error
	file := token.NewFileSet().AddFile("", -1, len(source))
	s.Init(file, []byte(source), func(at token.Position, text string) {
		failed = fmt.Errorf("%d: %s", at.Line, text)
	}, 0)
	var out []piece
	for {
		pos, t, text := s.Scan()
		switch {
		case t == token.EOF:
			return out, failed
		case t == token.SEMICOLON && text == "\n":
			continue
		case text == "":
			text = t.String()
		}
		if n := len(out); n > 0 && out[n-1].text == "," && (t == token.RPAREN || t == token.RBRACE || t == token.RBRACK) {
			out = out[:n-1]
		}
		begin := file.Offset(pos)
		out = append(out, piece{text, begin, begin + len(text)})
	}
}

// replaceTokens replaces the tokens of a text, which stand in the source once.
func replaceTokens(source, old, by string) (string, error) {
	all, err := tokens(source)
	if err != nil {
		return "", err
	}
	want, err := tokens(old)
	if err != nil {
		return "", fmt.Errorf("what is to be replaced: %w", err)
	}
	at, found := 0, 0
	for i := 0; i+len(want) <= len(all); i++ {
		if same(all[i:i+len(want)], want) {
			at, found = i, found+1
		}
	}
	if found != 1 {
		return "", fmt.Errorf("has this %d times, must be once:\n%s", found, old)
	}
	return source[:all[at].begin] + strings.TrimSpace(by) + source[all[at+len(want)-1].end:], nil
}

func same(a, b []piece) bool {
	for i := range a {
		if a[i].text != b[i].text {
			return false
		}
	}
	return len(a) > 0
}

// replaceText replaces a part of string literals, which stands in one of them,
// once. White space does not matter.
func replaceText(source, old, by string) (string, error) {
	var words []string
	for _, word := range strings.Fields(old) {
		words = append(words, regexp.QuoteMeta(word))
	}
	pattern, err := regexp.Compile(strings.Join(words, `\s+`))
	if err != nil {
		return "", err
	}
	all, err := tokens(source)
	if err != nil {
		return "", err
	}
	out, found := source, 0
	for _, t := range all {
		if t.text[0] != '"' && t.text[0] != '`' {
			continue
		}
		for _, m := range pattern.FindAllStringIndex(t.text, -1) {
			found++
			out = source[:t.begin+m[0]] + strings.TrimSpace(by) + source[t.begin+m[1]:]
		}
	}
	if found != 1 {
		return "", fmt.Errorf("has this %d times in its texts, must be once:\n%s", found, old)
	}
	return out, nil
}

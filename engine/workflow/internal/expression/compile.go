package expression

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
)

// Wanted is the type that an expression must give.
type Wanted int

// The types.
const (
	Bool Wanted = iota
	Time
	Text // or a number, or nil
)

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source    file.Source
	evaluate  evaluator
	wanted    Wanted
	variables int // the number of variables
	loops     int // how deep loops are nested

	// Contact reports whether it reads lead or metadata.
	Contact bool
	// Steps are the ids of the nodes whose steps it reads, each once. AllSteps
	// reports whether it may read the step of any node, because it computes an id.
	Steps    []string
	AllSteps bool
	// Parts is the total size of the patterns in it.
	Parts int
	// Cheap reports whether an evaluation takes some microseconds at most for any
	// data: no loop, no pattern, nothing whose cost grows with metadata or data.
	Cheap bool
}

// configs tell the parser and the type check about the language. Making one takes
// longer than compiling a short expression; one must not be used concurrently.
var configs = sync.Pool{New: func() any {
	c := conf.New(types{})
	c.MaxNodes = maxNodes
	// now() is a field of types; "::now()" would bypass it.
	c.Disabled["now"] = true
	delete(c.Builtins, "now")
	return c
}}

// Compile returns the program of an expression, or the faults that it finds, each as
// a message of its own. known reports whether the workflow has a node with that id.
func Compile(source string, want Wanted, known func(id string) bool) (*Program, []string) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, []string{"must not be empty; write an expression"}
	case len(source) > MaxSource:
		return nil, []string{fmt.Sprintf("is %d bytes long; at most %d are allowed", len(source), MaxSource)}
	case !utf8.ValidString(source):
		return nil, []string{"must be UTF-8"}
	}
	var p *Program
	var faults []string
	_, err := Metered(func(*Meter) (none struct{}) {
		p, faults = compile(source, want, known)
		return
	})
	if err != nil {
		// A defect of the parser or the type check. The expression is refused.
		return nil, []string{Shorten(err.Error())}
	}
	if faults != nil {
		return nil, faults
	}
	return p, nil
}

func compile(source string, want Wanted, known func(id string) bool) (*Program, []string) {
	c := configs.Get().(*conf.Config)
	c.Expect, c.ExpectAny = reflect.Invalid, false
	if want == Bool {
		c.Expect, c.ExpectAny = reflect.Bool, true
	}
	tree, parts, err := parse(source, c)
	if err != nil {
		configs.Put(c)
		return nil, []string{explain(err)}
	}
	given, err := checker.Check(tree, c)
	configs.Put(c)
	b := &builder{known: known, source: tree.Source, program: &Program{source: tree.Source, wanted: want, Parts: parts}}
	b.program.evaluate = b.build(tree.Node)
	faults := b.faults
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "expected bool, but got "):
		faults = append(faults, "must give a boolean, but gives "+describeType(tree.Node.Type()))
	case err != nil:
		if message := explain(err); !b.reported(message) {
			faults = append(faults, message)
		}
	case want == Time && given != timeType && given.Kind() != reflect.Interface:
		message := `must give a time, such as now() + duration("24h"), but gives ` + describeType(given)
		if given.Kind() == reflect.String {
			message += "; date(…) converts a string to a time"
		}
		faults = append(faults, message)
	}
	if want == Text && err == nil && !givesText(given) {
		faults = append(faults, "must give a string, but gives "+describeType(given))
	}
	if faults != nil {
		return nil, faults
	}
	b.program.Cheap = b.cheap(tree.Node)
	return b.program, nil
}

// givesText reports whether a value of the type may be a string or a number.
func givesText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Interface, reflect.Int, reflect.Int64, reflect.Float64:
		return t != durationType
	}
	return false
}

// Run evaluates the program. The error wraps [ErrBudget] when the evaluation
// exceeded its budget. The result of a program of type [Bool] is a bool.
func (p *Program) Run(s *Scope) (any, error) {
	f := frame{scope: s, Meter: NewMeter()}
	if p.variables > 0 {
		f.variables = make([]any, p.variables)
	}
	if p.loops > 0 {
		f.items = make([]any, p.loops)
	}
	result, err := p.run(&f)
	if err != nil {
		return nil, &failure{Shorten(err.Error()) + place(p.source, f.at), err}
	}
	switch {
	case p.wanted != Bool:
		return result, nil
	case isNil(result):
		return false, nil // a missing flag is not set
	}
	if _, ok := result.(bool); !ok {
		return nil, &failure{message: "must give a boolean, but gives " + Describe(result)}
	}
	return result, nil
}

func (p *Program) run(f *frame) (result any, err error) {
	defer Catch(&err)
	return p.evaluate(f), nil
}

// goNames replaces Go types in the messages of the library.
var goNames = strings.NewReplacer(
	"type expression.Step ", "a step ",
	"type expression.leadType ", "lead ",
	"map[string]expression.Step", "steps",
	"expression.Step", "a step",
	"expression.leadType", "lead",
	"map[string]interface {}", "an object",
	"[]interface {}", "an array",
	"interface {}", "any value",
	" unknown", " any value",
	"time.Weekday", "a weekday",
	"time.Month", "a month",
	"time.Time", "a time",
	"time.Duration", "a duration",
	"*time.Location", "a time zone",
)

// tokenKind matches how the parser names a token: unexpected token Bracket(")").
var tokenKind = regexp.MustCompile(`^unexpected token [A-Z][a-z]+\((".*")\)$`)

// explain returns an error of the parser or the type check as one line, with its
// location.
func explain(err error) string {
	var bound *file.Error
	if !errors.As(err, &bound) {
		return Shorten(err.Error())
	}
	message := strings.TrimPrefix(bound.Message, "compilation failed: ")
	message = tokenKind.ReplaceAllString(message, "unexpected $1")
	switch {
	case message == "unexpected token EOF" || message == "unexpected end of expression":
		message = "unexpected end of the expression"
	case strings.Contains(message, "exceeds maximum allowed nodes"), message == tooLong:
		return fmt.Sprintf("is too long; at most %d names, values and operators are allowed", maxNodes)
	case strings.HasPrefix(message, "unknown name "):
		message = "unknown name " + Clip(message[len("unknown name "):]) + "; the names are lead, metadata, steps and now()"
	}
	message = Shorten(strings.TrimSpace(goNames.Replace(message)))
	if bound.Line > 1 {
		return fmt.Sprintf("%s (line %d, column %d)", message, bound.Line, bound.Column+1)
	}
	return fmt.Sprintf("%s (column %d)", message, bound.Column+1)
}

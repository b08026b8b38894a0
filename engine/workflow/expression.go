package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"

	"github.com/leadflow-go/leadflow/lead"
)

// Env is what expressions and conditions see of one lead at one moment. Its
// maps are only read.
type Env struct {
	// Contact is the person; lead.* and metadata.* read it.
	Contact lead.Contact
	// Steps holds the latest step of each node that the lead has visited, by
	// node id; steps.* reads it. A node that is not in it has the zero result.
	Steps map[string]StepResult
	// Now is what now() returns, in UTC.
	Now time.Time
}

// StepResult is what came of a node's latest step.
type StepResult struct {
	Outcome   string         `expr:"outcome"`    // "" while there is none
	Data      map[string]any `expr:"data"`       // what the handler or the callback returned
	Status    string         `expr:"status"`     // the step's status, such as "completed" or "failed"
	Attempts  int            `expr:"attempts"`   // how many attempts were made
	CallID    string         `expr:"call_id"`    // of the last attempt
	Error     string         `expr:"error"`      // why a failed step failed
	EnteredAt time.Time      `expr:"entered_at"` // when the lead arrived at the node
	ExitedAt  time.Time      `expr:"exited_at"`  // when the step ended
}

// scope is Env in the shape that the expression language reads.
type scope struct {
	Lead     leadScope             `expr:"lead"`
	Metadata map[string]any        `expr:"metadata"`
	Steps    map[string]StepResult `expr:"steps"`
	Now      func() time.Time      `expr:"now"`
}

type leadScope struct {
	PhoneNumber string `expr:"phone_number"`
	ExternalID  string `expr:"external_id"`
	TimeZone    string `expr:"time_zone"`
}

func newScope(env *Env) *scope {
	if env == nil {
		env = &Env{}
	}
	return &scope{
		Lead: leadScope{
			PhoneNumber: env.Contact.PhoneNumber,
			ExternalID:  env.Contact.ExternalID,
			TimeZone:    env.Contact.TimeZone,
		},
		Metadata: env.Contact.Metadata,
		Steps:    env.Steps,
		Now:      func() time.Time { return env.Now.UTC() },
	}
}

// The bounds of an expression. It is evaluated where leads are moved, and can
// be neither interrupted nor given a goroutine of its own, so that what it can
// cost is bounded when it is compiled; see also restrict.go.
const (
	maxASTNodes  = 1000
	memoryBudget = 100_000 // elements of the lists and maps that one evaluation makes
	maxText      = 64 << 10
)

// Where the language's own tools stand in the way of a bound, they are replaced
// by functions of these names.
const (
	joinTexts = "$join" // + where both sides are texts
	addAny    = "$add"  // + where that is known only when it runs
)

var languageOptions = []expr.Option{
	expr.Env(scope{}),
	expr.MaxNodes(maxASTNodes),
	// now() is the field of scope; "::now()" would get round that.
	expr.DisableBuiltin("now"),
	expr.Function(joinTexts, add, new(func(string, string) string)),
	expr.Function(addAny, add, new(func(any, any) any)),
	expr.Function("string", text, new(func(any) string)),
}

func add(args ...any) (any, error) {
	a, aok := args[0].(string)
	b, bok := args[1].(string)
	if aok && bok && len(a)+len(b) > maxText {
		return nil, fmt.Errorf("text longer than %d bytes", maxText)
	}
	return runtime.Add(args[0], args[1]), nil
}

func text(args ...any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return v, nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	case nil:
		return "", nil
	}
	switch reflect.ValueOf(args[0]).Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.Struct, reflect.Pointer, reflect.Func:
		return nil, fmt.Errorf("string() takes a text, a number, true, false or a time, not %s", describe(args[0]))
	}
	return fmt.Sprint(args[0]), nil
}

// expression is a compiled expression. It is immutable.
type expression struct {
	program *vm.Program
	uses
}

// uses is what an expression or a condition reads.
type uses struct {
	steps   bool // steps.*
	contact bool // lead.* or metadata.*
}

// wanted is the type that an expression must have.
type wanted int

const (
	wantBool wanted = iota
	wantTime
)

var timeType = reflect.TypeFor[time.Time]()

// compileExpression returns every fault that it finds as a message of its own.
// known reports whether a node id exists.
func compileExpression(source string, want wanted, known func(id string) bool) (*expression, []string) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, []string{"is empty; write an expression"}
	case len(source) > MaxExpression:
		return nil, []string{fmt.Sprintf("is %d bytes long; at most %d are allowed", len(source), MaxExpression)}
	case !utf8.ValidString(source):
		return nil, []string{"is not UTF-8"}
	}
	restrict := &restrictions{known: known, source: file.NewSource(source)}
	options := append(languageOptions[:len(languageOptions):len(languageOptions)], expr.Patch(restrict))
	if want == wantBool {
		options = append(options, expr.AsBool())
	}
	program, err := safely(func() (*vm.Program, error) { return expr.Compile(source, options...) })
	faults := restrict.faults
	if err != nil {
		if strings.HasPrefix(err.Error(), "expected bool, but got ") {
			return nil, append(faults, "must be true or false, but gives "+typeName(restrict.root))
		}
		return nil, append(faults, explain(err))
	}
	if want == wantTime && restrict.root != timeType && restrict.root.Kind() != reflect.Interface {
		message := "must give a time, such as now() + duration(\"24h\"), but gives " + typeName(restrict.root)
		if restrict.root.Kind() == reflect.String {
			message += "; date(…) makes a time of a text"
		}
		faults = append(faults, message)
	}
	if faults != nil {
		return nil, faults
	}
	return &expression{program: program, uses: restrict.uses}, nil
}

// run evaluates the expression. A panic in it is an error.
func (e *expression) run(env *Env) (any, error) {
	result, err := safely(func() (any, error) {
		machine := vm.VM{MemoryBudget: memoryBudget}
		return machine.Run(e.program, newScope(env))
	})
	if err != nil {
		return nil, errors.New(explain(err))
	}
	return result, nil
}

// safely turns a panic into an error. The expression library recovers from its
// own; this is for the day when it doesn't: one expression must not take the
// process, and every other lead, down.
func safely[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return f()
}

// goNames replaces names that mean nothing to who writes an expression.
var goNames = strings.NewReplacer(
	"<nil>", "nil",
	"type workflow.StepResult ", "a step ",
	"workflow.StepResult", "a step",
	"type workflow.leadScope ", "lead ",
	"workflow.leadScope", "lead",
	"interface {}", "any value",
	"map[string]interface {}", "an object",
)

var (
	// tokenKind is how the parser names a token: unexpected token Bracket(")").
	tokenKind = regexp.MustCompile(`^unexpected token [A-Z][a-z]+\((".*")\)$`)
	// nothingThere is what the evaluation says of a path that goes on behind nil.
	nothingThere = regexp.MustCompile(`^cannot fetch (\w+) from <nil>$`)
)

// explain makes one line of the library's error, with the place in it.
func explain(err error) string {
	var bound *file.Error
	if !errors.As(err, &bound) {
		return shorten(err.Error())
	}
	message := strings.TrimPrefix(bound.Message, "compilation failed: ")
	message = tokenKind.ReplaceAllString(message, "unexpected $1")
	switch {
	case message == "unexpected token EOF" || message == "unexpected end of expression":
		message = "ends too early"
	case strings.Contains(message, "exceeds maximum allowed nodes"):
		return fmt.Sprintf("is too long; at most %d names, values and operators are allowed", maxASTNodes)
	case strings.HasPrefix(message, "unknown name "):
		message += " (there are lead, metadata, steps and now())"
	}
	message = nothingThere.ReplaceAllString(message, "nothing there to take $1 from; write ?.$1 where it may be missing")
	message = goNames.Replace(message)
	return shorten(message) + place(bound.Line, bound.Column+1)
}

func place(line, column int) string {
	if line > 1 {
		return fmt.Sprintf(" (line %d, column %d)", line, column)
	}
	return fmt.Sprintf(" (column %d)", column)
}

// describe names a value's type in words that do not need Go.
func describe(v any) string {
	if v == nil {
		return "nothing (nil)"
	}
	return typeName(reflect.TypeOf(v))
}

func typeName(t reflect.Type) string {
	switch {
	case t == nil:
		return "nothing (nil)"
	case t == timeType:
		return "a time"
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "an object"
	case reflect.Func:
		return "a function"
	case reflect.Interface:
		return "any value"
	}
	return "a number"
}

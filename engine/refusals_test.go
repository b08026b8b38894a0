package engine_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/memory"
)

// classes are what a refusal may match, of which each matches one.
var classes = map[string]error{
	"not found": lead.ErrNotFound, "conflict": lead.ErrConflict, "invalid": lead.ErrInvalid, "not running": engine.ErrNotRunning,
}

// refusal is an error and the class that it must match.
type refusal struct {
	class string
	err   error
}

// noRefusal is for what returns an error that is none of ours.
var noRefusal = []refusal{}

// TestEveryRefusalMatchesOneClass calls every exported function and method of lead,
// engine and workflow that returns an error, with input that it must refuse.
func TestEveryRefusalMatchesOneClass(t *testing.T) {
	all := refusalsOfLead()
	maps.Copy(all, refusalsOfWorkflow(t))
	maps.Copy(all, refusalsOfEngine(t))
	maps.Copy(all, refusalsOfRules(t))

	names := append(functionsWithErrors(t, "../lead"), append(functionsWithErrors(t, "workflow"), functionsWithErrors(t, ".")...)...)
	for _, name := range names {
		if all[name] == nil {
			t.Errorf("%s is not among what this test calls", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(names, name) {
			t.Errorf("there is no %s that returns an error", name)
		}
		for i, r := range all[name] {
			if r.err == nil {
				t.Errorf("%s, %d: no error, want %s", name, i, r.class)
				continue
			}
			var matches []string
			for class, err := range classes {
				if errors.Is(r.err, err) {
					matches = append(matches, class)
				}
			}
			if !slices.Equal(matches, []string{r.class}) {
				t.Errorf("%s, %d: %v\n\tmatches %q, want %s", name, i, r.err, matches, r.class)
			}
			if text := r.err.Error(); strings.Contains(text, "%!") || strings.TrimSpace(text) == "" {
				t.Errorf("%s, %d: the text is %q", name, i, text)
			}
		}
	}
}

// functionsWithErrors lists the exported functions of a package, and the methods of
// its exported types, that return an error, or yield some.
func functionsWithErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), dir+"/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Type.Results == nil || f.Name.Name == "Unwrap" {
				continue
			}
			result := types.ExprString(f.Type.Results.List[len(f.Type.Results.List)-1].Type)
			if !strings.HasSuffix(strings.TrimSuffix(result, "]"), "error") {
				continue
			}
			name := parsed.Name.Name + "."
			if f.Recv != nil {
				receiver := strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*")
				if !ast.IsExported(receiver) {
					continue
				}
				name += receiver + "."
			}
			names = append(names, name+f.Name.Name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no functions in %s", dir)
	}
	return names
}

// second returns the error of a call that returns something else before it.
func second[T any](_ T, err error) error { return err }

func invalid(errs ...error) (all []refusal) {
	for _, err := range errs {
		all = append(all, refusal{"invalid", err})
	}
	return all
}

func notFound(errs ...error) (all []refusal) {
	for _, err := range errs {
		all = append(all, refusal{"not found", err})
	}
	return all
}

func conflict(errs ...error) (all []refusal) {
	for _, err := range errs {
		all = append(all, refusal{"conflict", err})
	}
	return all
}

func refusalsOfLead() map[string][]refusal {
	var id lead.ID
	var step lead.StepID
	var wf lead.WorkflowID
	var state lead.State
	var stepStatus lead.StepStatus
	var workflowStatus lead.WorkflowStatus
	m := lead.NewMachine()
	phones := []string{"", " ", "+", "abc", "555", "+1 555 0167", "+4915155501234.0", "112", "\xff", "++4915155501234", "1/2/3", strings.Repeat("1", 5000)}
	var phone []error
	for _, p := range phones {
		phone = append(phone, second(lead.NormalizePhone(p, "")), second(lead.NormalizePhone(p, "US")))
	}
	phone = append(phone, second(lead.NormalizePhone("030 123456", "Germany")))
	ids := []string{"", "x", "wlead_", "wlead_zzzzzzzzzzzzzzzzzzzzzzzzzz", "\xff", strings.Repeat("x", 5000)}
	out := map[string][]refusal{
		"lead.NewID": noRefusal, "lead.NewWorkflowID": noRefusal, // fail with the system's random numbers
		"lead.ID.MarshalText": noRefusal, "lead.StepID.MarshalText": noRefusal, "lead.WorkflowID.MarshalText": noRefusal, // never fail
		"lead.State.MarshalText":            invalid(second(lead.State(0).MarshalText()), second(lead.State(99).MarshalText())),
		"lead.StepStatus.MarshalText":       invalid(second(lead.StepStatus(0).MarshalText()), second(lead.StepStatus(99).MarshalText())),
		"lead.WorkflowStatus.MarshalText":   invalid(second(lead.WorkflowStatus(0).MarshalText())),
		"lead.State.UnmarshalText":          invalid(state.UnmarshalText(nil), state.UnmarshalText([]byte("flying")), state.UnmarshalText([]byte("\xff"))),
		"lead.StepStatus.UnmarshalText":     invalid(stepStatus.UnmarshalText(nil), stepStatus.UnmarshalText([]byte("flying"))),
		"lead.WorkflowStatus.UnmarshalText": invalid(workflowStatus.UnmarshalText(nil), workflowStatus.UnmarshalText([]byte("flying"))),
		"lead.ParseState":                   invalid(second(lead.ParseState("")), second(lead.ParseState("Removed"))),
		"lead.ParseStepStatus":              invalid(second(lead.ParseStepStatus("")), second(lead.ParseStepStatus("%d"))),
		"lead.NormalizePhone":               invalid(phone...),
		"lead.CheckRegion":                  invalid(lead.CheckRegion(""), lead.CheckRegion("UK"), lead.CheckRegion("us"), lead.CheckRegion("Germany")),
		"lead.Contact.Normalize": invalid(second(lead.Contact{}.Normalize("")), second(lead.Contact{PhoneNumber: "+14155550101", TimeZone: "Mars"}.Normalize("")),
			second(lead.Contact{PhoneNumber: "4155550101"}.Normalize("Germany")), second(lead.Contact{ExternalID: "\xff", TimeZone: "Local"}.Normalize("US"))),
		"lead.Machine.Fire": append(conflict(second(m.Fire(lead.Removed, lead.Events()[0])), second(m.Fire(lead.Completed, lead.EventRemove))),
			invalid(second(m.Fire(0, lead.EventRemove)), second(m.Fire(99, lead.EventRemove)), second(m.Fire(lead.Enrolled, "fly")), second(m.Fire(lead.Removed, "fly")))...),
	}
	for _, text := range ids {
		for name, err := range map[string]error{
			"lead.ParseID": second(lead.ParseID(text)), "lead.ParseStepID": second(lead.ParseStepID(text)),
			"lead.ParseWorkflowID": second(lead.ParseWorkflowID(text)), "lead.ID.UnmarshalText": id.UnmarshalText([]byte(text)),
			"lead.StepID.UnmarshalText": step.UnmarshalText([]byte(text)), "lead.WorkflowID.UnmarshalText": wf.UnmarshalText([]byte(text)),
		} {
			out[name] = append(out[name], notFound(err)...)
		}
	}
	return out
}

func refusalsOfWorkflow(t *testing.T) map[string][]refusal {
	t.Helper()
	faulty := &workflow.Definition{Name: "x", Entry: "y", Nodes: []workflow.Node{{ID: "a", Type: "flying"}}}
	fine := &workflow.Definition{
		Name: "Fine", Entry: "wait",
		Nodes: []workflow.Node{workflow.WaitUntil("wait", "metadata.at"), workflow.If("if", "metadata.age > 3"), workflow.End("yes", workflow.Converted)},
		Edges: []workflow.Edge{workflow.To("wait", "if"), workflow.On("if", "true", "yes"), workflow.On("if", "false", "yes")},
	}
	g, err := workflow.Compile(fine)
	if err != nil {
		t.Fatal(err)
	}
	env := func(metadata map[string]any) *workflow.Env {
		return &workflow.Env{Contact: lead.Contact{Metadata: metadata}}
	}
	var d workflow.Duration
	return map[string][]refusal{
		"workflow.Duration.MarshalJSON":   noRefusal, // never fails
		"workflow.Duration.UnmarshalJSON": invalid(d.UnmarshalJSON(nil), d.UnmarshalJSON([]byte(`30`)), d.UnmarshalJSON([]byte(`"2d"`)), d.UnmarshalJSON([]byte(`{}`))),
		"workflow.ParseDuration":          invalid(second(workflow.ParseDuration("")), second(workflow.ParseDuration("30")), second(workflow.ParseDuration("1w")), second(workflow.ParseDuration("soon"))),
		"workflow.CheckHandler":           invalid(workflow.CheckHandler(""), workflow.CheckHandler("a b"), workflow.CheckHandler(strings.Repeat("x", 5000))),
		"workflow.Compile":                invalid(second(workflow.Compile(faulty)), second(workflow.Compile(&workflow.Definition{})), second(workflow.Compile(nil))),
		"workflow.CompileKept":            invalid(second(workflow.CompileKept(faulty)), second(workflow.CompileKept(&workflow.Definition{}))),
		"workflow.Definition.Validate":    invalid(faulty.Validate(), (&workflow.Definition{}).Validate()),
		"workflow.Parse": invalid(second(workflow.Parse(nil)), second(workflow.Parse([]byte("[]"))), second(workflow.Parse([]byte(`{"colour":1}`))),
			second(workflow.Parse([]byte("\xff"))), second(workflow.Parse([]byte(`{"name":"x","nodes":[{"id":"a","type":"time","config":{"duration":30}}]}`)))),
		"workflow.Graph.Test": invalid(second(g.Test(0, nil)), second(g.Test(1, env(map[string]any{"age": "old"})))),
		"workflow.Graph.Until": invalid(second(g.Until(1, nil, time.Now())), second(g.Until(0, nil, time.Now())),
			second(g.Until(0, env(map[string]any{"at": "tomorrow"}), time.Now()))),
	}
}

// handler is a handler that does nothing.
var handler = engine.HandlerFunc(func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight(""), nil })

// quietEngine returns an engine that was not started.
func quietEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(memory.New(), engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": handler}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func refusalsOfEngine(t *testing.T) map[string][]refusal {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e, idle := quietEngine(t), quietEngine(t)
	must(e.Start(ctx))
	over := quietEngine(t)
	must(over.Start(ctx))
	t.Cleanup(func() { _ = e.Shutdown(ctx) })

	wait := func() *workflow.Definition {
		return &workflow.Definition{
			Name: "Wait", Entry: "wait", Nodes: []workflow.Node{workflow.Wait("wait", time.Hour), workflow.End("end", workflow.Converted)},
			Edges: []workflow.Edge{workflow.To("wait", "end")},
		}
	}
	create := func(e *engine.Engine, d *workflow.Definition) lead.WorkflowID {
		t.Helper()
		w, err := e.CreateWorkflow(ctx, d)
		must(err)
		return w.ID
	}
	left := create(over, wait())
	must(over.Shutdown(ctx))
	draft, active, paused, final := create(e, wait()), create(e, wait()), create(e, wait()), create(e, wait())
	for _, id := range []lead.WorkflowID{active, paused, final} {
		must(second(e.ActivateWorkflow(ctx, id)))
	}
	must(second(e.PauseWorkflow(ctx, paused)))
	must(second(e.CancelWorkflow(ctx, final)))
	noHandler := create(e, &workflow.Definition{
		Name: "No handler", Entry: "m", Nodes: []workflow.Node{workflow.MessageNode("m", nil), workflow.End("end", workflow.Converted)},
		Edges: []workflow.Edge{workflow.On("m", "success", "end")},
	})
	contact := func(phone string) lead.Contact { return lead.Contact{PhoneNumber: phone} }
	live, err := e.Enroll(ctx, active, contact("+14155550101"))
	must(err)
	gone, err := e.Enroll(ctx, active, contact("+14155550102"))
	must(err)
	must(second(e.Remove(ctx, active, gone.ID)))
	history, err := e.History(ctx, active, live.ID)
	must(err)
	waiting := history[0].ID

	none, noLead := lead.WorkflowIDFrom(time.Now(), 999, 1), lead.IDFrom(time.Now(), 999, 1)
	noStep := lead.NewStepID(time.Now(), noLead, 1)
	name, long, bad := "New", strings.Repeat("x", 1<<20), "\xff"
	filters := []engine.LeadFilter{
		{Node: "nowhere"}, {PhoneNumber: "abc"}, {PhoneNumber: " "}, {ExternalID: " "}, {States: []lead.State{}}, {States: []lead.State{99}}, {Offset: -1}, {Limit: -1},
	}
	var leads, count, each, contactLeads, many []error
	for _, f := range filters {
		leads = append(leads, second(e.Leads(ctx, active, f)))
		count = append(count, second(e.CountLeads(ctx, active, f)))
		each = append(each, firstError(e.AllLeads(ctx, active, f)))
		many = append(many, second(e.RemoveLeads(ctx, active, f)))
	}
	count = count[:len(count)-2] // which does not page
	for _, f := range []engine.ContactFilter{{}, {PhoneNumber: "abc"}, {PhoneNumber: " "}, {ExternalID: " "}, {PhoneNumber: "+14155550101", States: []lead.State{}}, {PhoneNumber: "+14155550101", Limit: -1}} {
		contactLeads = append(contactLeads, second(e.ContactLeads(ctx, f)))
	}
	badCalls := []engine.CallFilter{{PhoneNumber: "abc"}, {CallID: " "}, {Status: 99}, {Limit: -1}}
	var calls, eachCall []error
	for _, f := range badCalls {
		_, _, err := e.Calls(ctx, f)
		calls = append(calls, err)
		eachCall = append(eachCall, firstError(e.AllCalls(ctx, f)))
	}
	contacts := []lead.Contact{{}, contact("abc"), {PhoneNumber: "+14155550103", TimeZone: "Mars"}, {PhoneNumber: "+14155550103", ExternalID: bad},
		{PhoneNumber: "+14155550103", Metadata: map[string]any{"n": math.Inf(1)}}, {PhoneNumber: "+14155550103", Metadata: map[string]any{"c": make(chan int)}},
		{PhoneNumber: "+14155550103", Metadata: map[string]any{"long": long + long}}}
	var enroll, check []error
	for _, c := range contacts {
		enroll = append(enroll, second(e.Enroll(ctx, active, c)))
		check = append(check, e.CheckContact(c))
	}
	rows := func(more ...lead.Contact) iter.Seq2[lead.Contact, error] {
		return func(yield func(lead.Contact, error) bool) {
			for _, c := range more {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
	onRow := func(run func(engine.EnrollOption) error) (out []error) {
		must(run(engine.OnRow(func(_ int, _ lead.ID, err error) { out = append(out, err) })))
		return out
	}
	badRows := onRow(func(o engine.EnrollOption) error { return second(e.EnrollAll(ctx, active, rows(contacts...), o)) })
	takenRows := onRow(func(o engine.EnrollOption) error {
		return second(e.EnrollAll(ctx, active, rows(contact("+14155550101")), o))
	})
	twice := onRow(func(o engine.EnrollOption) error {
		return second(e.EnrollAll(ctx, active, rows(contact("+14155550109"), contact("+14155550109")), o, engine.DryRun()))
	})
	csv := func(text string, o ...engine.EnrollOption) error {
		return second(e.EnrollCSV(ctx, active, strings.NewReader(text), o...))
	}
	badRecords := onRow(func(o engine.EnrollOption) error {
		return csv("phone_number,name\nabc,Ann\n+14155550104,A,n,n\n+14155550105,\xff\n", o)
	})
	complete := func(c engine.Callback) error { return second(e.CompleteStep(ctx, waiting, c)) }
	update := func(u engine.LeadUpdate) error { return second(e.UpdateLead(ctx, active, live.ID, u)) }
	change := func(u engine.WorkflowUpdate) error { return second(e.UpdateWorkflow(ctx, draft, u)) }
	bare := func(s store.Store, c engine.Config) error { return second(engine.New(s, c)) }
	stepped := func(s store.Store, c engine.Config) error { return second(engine.NewStepped(s, c, 1)) }
	noWorkflow := func(call func(context.Context, lead.WorkflowID) (engine.Workflow, error)) error {
		return second(call(ctx, none))
	}
	status := func(call func(context.Context, lead.WorkflowID) (engine.Workflow, error), ids ...lead.WorkflowID) []refusal {
		out := notFound(noWorkflow(call))
		for _, id := range ids {
			out = append(out, conflict(second(call(ctx, id)))...)
		}
		return out
	}
	removal, err := e.Remove(ctx, active, func() lead.ID { l, err := e.Enroll(ctx, active, contact("+14155550108")); must(err); return l.ID }())
	must(err)
	must(second(removal.Wait(ctx)))

	notRunning := func(errs ...error) (all []refusal) {
		for _, err := range errs {
			all = append(all, refusal{"not running", err})
		}
		return all
	}
	idleStepped, err := engine.NewStepped(memory.New(), engine.Config{Clock: &stillClock{}, Logger: slog.New(slog.DiscardHandler)}, 1)
	must(err)
	reason := engine.Reason(long)
	return map[string][]refusal{
		"engine.NonRetryable": noRefusal, "engine.NotMade": noRefusal, "engine.RetryAfter": noRefusal, // give a handler its error
		"engine.HandlerFunc.Handle": noRefusal, // the handler's own
		"engine.Removal.Wait":       noRefusal, // the context's

		"engine.New": invalid(bare(nil, engine.Config{}), bare(memory.New(), engine.Config{Workers: -1, HookTimeout: -1, MaxRedeliveries: -1}),
			bare(memory.New(), engine.Config{Region: "UK"}), bare(memory.New(), engine.Config{Hooks: []engine.Hook{{}}}),
			bare(memory.New(), engine.Config{Handlers: map[string]engine.Handler{"time": handler, "": handler, "x": nil}})),
		"engine.NewStepped":      invalid(stepped(nil, engine.Config{}), stepped(memory.New(), engine.Config{Workers: -1})),
		"engine.Engine.Handle":   append(invalid(e.Handle("", handler), e.Handle("time", handler), e.Handle("sms", nil), e.Handle("a b", handler)), conflict(e.Handle("voice_call", handler))...),
		"engine.Engine.Start":    conflict(over.Start(ctx)),
		"engine.Engine.Shutdown": noRefusal, // the context's
		"engine.Engine.Health":   notRunning(idle.Health(ctx), over.Health(ctx)),
		"engine.Stepped.Settle":  notRunning(idleStepped.Settle()),

		"engine.Engine.CreateWorkflow": append(invalid(second(e.CreateWorkflow(ctx, &workflow.Definition{})), second(e.CreateWorkflow(ctx, nil))),
			notRunning(second(over.CreateWorkflow(ctx, wait())))...),
		"engine.Engine.UpdateWorkflow": slices.Concat(
			invalid(change(engine.WorkflowUpdate{Name: new(string)}), change(engine.WorkflowUpdate{Name: &long}), change(engine.WorkflowUpdate{Description: &bad}), change(engine.WorkflowUpdate{Graph: &workflow.Definition{}})),
			notFound(second(e.UpdateWorkflow(ctx, none, engine.WorkflowUpdate{Name: &name}))),
			conflict(second(e.UpdateWorkflow(ctx, active, engine.WorkflowUpdate{Graph: wait()})))),
		"engine.Engine.ActivateWorkflow":  append(status(e.ActivateWorkflow, active, paused, final), invalid(second(e.ActivateWorkflow(ctx, noHandler)))...),
		"engine.Engine.PauseWorkflow":     status(e.PauseWorkflow, draft, paused, final),
		"engine.Engine.ResumeWorkflow":    status(e.ResumeWorkflow, draft, active, final),
		"engine.Engine.CancelWorkflow":    status(e.CancelWorkflow, final),
		"engine.Engine.CompleteWorkflow":  status(e.CompleteWorkflow, draft, final),
		"engine.Engine.DuplicateWorkflow": notFound(noWorkflow(e.DuplicateWorkflow)),
		"engine.Engine.DeleteWorkflow":    append(notFound(e.DeleteWorkflow(ctx, none)), conflict(e.DeleteWorkflow(ctx, active), e.DeleteWorkflow(ctx, paused))...),
		"engine.Engine.Workflow":          notFound(noWorkflow(e.Workflow), second(e.Workflow(ctx, lead.WorkflowID{}))),
		"engine.Engine.Definition":        notFound(second(e.Definition(ctx, none))),
		"engine.Engine.Workflows": append(invalid(second(e.Workflows(ctx, engine.WorkflowFilter{Limit: -1})), second(e.Workflows(ctx, engine.WorkflowFilter{Status: 99}))),
			notFound(second(e.Workflows(ctx, engine.WorkflowFilter{After: none})))...),

		"engine.Engine.CheckContact": invalid(check...),
		"engine.Engine.Enroll": slices.Concat(invalid(enroll...), notFound(second(e.Enroll(ctx, none, contact("+14155550106")))),
			conflict(second(e.Enroll(ctx, active, contact("+14155550101"))), second(e.Enroll(ctx, final, contact("+14155550106")))),
			notRunning(second(over.Enroll(ctx, left, contact("+14155550106"))))),
		"engine.Engine.EnrollAll": slices.Concat(invalid(badRows...), conflict(takenRows...), conflict(twice[1]), notFound(second(e.EnrollAll(ctx, none, rows()))),
			conflict(second(e.EnrollAll(ctx, final, rows(contact("+14155550107"))))), invalid(second(e.EnrollAll(ctx, active, rows(), engine.InRegion("UK"))))),
		"engine.Engine.EnrollCSV": slices.Concat(invalid(csv(""), csv("mobile\n1\n"), csv("phone_number,\xff\n"), csv("phone_number,phone_number\n"), csv("phone_number\n", engine.InRegion("Germany"))),
			invalid(badRecords...), notFound(second(e.EnrollCSV(ctx, none, strings.NewReader("phone_number\n")))),
			conflict(second(e.EnrollCSV(ctx, final, strings.NewReader("phone_number\n+14155550107\n"))))),
		"engine.Engine.UpdateLead": slices.Concat(invalid(update(engine.LeadUpdate{TimeZone: &bad}), update(engine.LeadUpdate{ExternalID: &long}), update(engine.LeadUpdate{Metadata: map[string]any{"n": math.NaN()}})),
			notFound(second(e.UpdateLead(ctx, active, noLead, engine.LeadUpdate{})), second(e.UpdateLead(ctx, draft, live.ID, engine.LeadUpdate{}))),
			conflict(second(e.UpdateLead(ctx, active, gone.ID, engine.LeadUpdate{})))),
		"engine.Engine.Lead":         notFound(second(e.Lead(ctx, none, live.ID)), second(e.Lead(ctx, draft, live.ID)), second(e.Lead(ctx, active, noLead))),
		"engine.Engine.LeadByID":     notFound(second(e.LeadByID(ctx, noLead)), second(e.LeadByID(ctx, lead.ID{}))),
		"engine.Engine.History":      notFound(second(e.History(ctx, none, live.ID)), second(e.History(ctx, draft, live.ID)), second(e.History(ctx, active, noLead))),
		"engine.Engine.Leads":        append(invalid(leads...), notFound(second(e.Leads(ctx, none, engine.LeadFilter{})))...),
		"engine.Engine.CountLeads":   append(invalid(count...), notFound(second(e.CountLeads(ctx, none, engine.LeadFilter{})))...),
		"engine.Engine.AllLeads":     append(invalid(each...), notFound(firstError(e.AllLeads(ctx, none, engine.LeadFilter{})))...),
		"engine.Engine.ContactLeads": invalid(contactLeads...),
		"engine.Engine.Remove": slices.Concat(notFound(second(e.Remove(ctx, none, live.ID)), second(e.Remove(ctx, draft, live.ID)), second(e.Remove(ctx, active, noLead))),
			conflict(second(e.Remove(ctx, active, gone.ID))), invalid(second(e.Remove(ctx, active, live.ID, reason)))),
		"engine.Engine.EnrollTx": invalid(second(e.EnrollTx(ctx, nil, active, lead.Contact{}))),
		"engine.Engine.RemoveTx": invalid(second(e.RemoveTx(ctx, nil, active, live.ID, reason))),
		"engine.Engine.RemoveLeads": slices.Concat(invalid(many...), invalid(second(e.RemoveLeads(ctx, active, engine.LeadFilter{})), second(e.RemoveLeads(ctx, active, engine.LeadFilter{All: true, Node: "wait"})),
			second(e.RemoveLeads(ctx, active, engine.LeadFilter{All: true}, reason))), notFound(second(e.RemoveLeads(ctx, none, engine.LeadFilter{All: true})))),
		"engine.Engine.StepNode": notFound(func() error { _, _, err := e.StepNode(ctx, noStep); return err }(),
			func() error { _, _, err := e.StepNode(ctx, lead.StepID{}); return err }()),
		"engine.Engine.CompleteStep": slices.Concat(notFound(second(e.CompleteStep(ctx, noStep, engine.Callback{})), second(e.CompleteStep(ctx, lead.StepID{}, engine.Callback{}))),
			conflict(complete(engine.Callback{Outcome: "completed"})),
			invalid(complete(engine.Callback{Outcome: long}), complete(engine.Callback{CallID: bad}), complete(engine.Callback{Data: 7}), complete(engine.Callback{Data: map[string]any{"n": math.Inf(1)}}),
				complete(engine.Callback{Attempt: -1}), complete(engine.Callback{Error: "busy", Outcome: "x"}), complete(engine.Callback{Final: true}), complete(engine.Callback{Error: "busy", RetryAfter: 1, Final: true}))),
		"engine.Engine.Calls":    invalid(calls...),
		"engine.Engine.AllCalls": invalid(eachCall...),
	}
}

// firstError is the first error that a sequence yields.
func firstError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// stillClock does not go on.
type stillClock struct{}

func (stillClock) Now() time.Time { return time.Unix(1_800_000_000, 0) }

func (stillClock) AfterFunc(time.Duration, func()) (stop func() bool) {
	return func() bool { return true }
}

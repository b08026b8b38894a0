package linear

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// client is the engine as a client sees it: in the same process or over HTTP. The error
// of a method is an error class, or the reason of a conflict if the client can tell; any
// other error ends the test.
type client interface {
	enroll(phone string) (lead.ID, error)
	// remove answers with the state, or 0 when all that is known is that the removal
	// was accepted; then seen is what became of the lead by the time of the answer.
	remove(id lead.ID, reason string, skip bool) (state, seen lead.State, err error)
	complete(step lead.StepID, outcome string) (lead.State, error)
	get(id lead.ID) (seen view, err error)
	// suppress and removeContact answer with the states of the leads that they concern.
	suppress(phone string, channel workflow.NodeType, reason string) (id lead.SuppressionID, fresh bool, leads leadStates, err error)
	lift(id lead.SuppressionID) error
	hold(id lead.ID) error
	release(id lead.ID) error
	removeContact(phone, reason string, skip bool) (leadStates, error)
	// history gives the outcome of each step that was begun, by node.
	history(id lead.ID) (map[string]string, error)
}

type leadStates map[lead.ID]lead.State

// view is a lead as a client sees it.
type view struct {
	state  lead.State
	reason string // of its removal
	held   bool
}

// spread asks one client after the other.
type spread struct {
	over []client
	turn atomic.Uint64
}

func (s *spread) next() client { return s.over[s.turn.Add(1)%uint64(len(s.over))] }

func (s *spread) enroll(phone string) (lead.ID, error) { return s.next().enroll(phone) }

func (s *spread) remove(id lead.ID, reason string, skip bool) (state, seen lead.State, err error) {
	return s.next().remove(id, reason, skip)
}

func (s *spread) complete(step lead.StepID, outcome string) (lead.State, error) {
	return s.next().complete(step, outcome)
}

func (s *spread) get(id lead.ID) (view, error) { return s.next().get(id) }

func (s *spread) suppress(phone string, channel workflow.NodeType, reason string) (lead.SuppressionID, bool, leadStates, error) {
	return s.next().suppress(phone, channel, reason)
}

func (s *spread) lift(id lead.SuppressionID) error { return s.next().lift(id) }

func (s *spread) hold(id lead.ID) error { return s.next().hold(id) }

func (s *spread) release(id lead.ID) error { return s.next().release(id) }

func (s *spread) removeContact(phone, reason string, skip bool) (leadStates, error) {
	return s.next().removeContact(phone, reason, skip)
}

func (s *spread) history(id lead.ID) (map[string]string, error) { return s.next().history(id) }

// direct calls the engine.
type direct struct {
	eng *engine.Engine
	wf  lead.WorkflowID
}

// refusal is the class, or the reason, of an engine's error, if it has one.
func refusal(err error) error {
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) {
		return conflict.Reason
	}
	return err
}

func (d direct) enroll(phone string) (lead.ID, error) {
	l, err := d.eng.Enroll(context.Background(), d.wf, lead.Contact{PhoneNumber: phone})
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) {
		return conflict.Lead, conflict.Reason
	}
	return l.ID, err
}

func (d direct) remove(id lead.ID, reason string, skip bool) (state, seen lead.State, err error) {
	options := []engine.RemoveOption{engine.Reason(reason)}
	if skip {
		options = append(options, engine.SkipRetries())
	}
	r, err := d.eng.Remove(context.Background(), d.wf, id, options...)
	var conflict *lead.ConflictError
	if errors.As(err, &conflict) {
		if state, err = lead.ParseState(conflict.State); err == nil {
			err = conflict.Reason
		}
		return state, 0, err
	}
	if err != nil {
		return 0, 0, err
	}
	return r.State, 0, nil
}

func (d direct) complete(step lead.StepID, outcome string) (lead.State, error) {
	done, err := d.eng.CompleteStep(context.Background(), step, engine.Callback{Outcome: outcome})
	return done.LeadState, refusal(err)
}

func (d direct) get(id lead.ID) (view, error) {
	l, err := d.eng.Lead(context.Background(), d.wf, id)
	seen := view{state: l.State, held: l.Hold != nil}
	if l.Removal != nil {
		seen.reason = l.Removal.Reason
	}
	return seen, err
}

func named(leads []engine.ContactLead) leadStates {
	out := leadStates{}
	for _, l := range leads {
		out[l.ID] = l.State
	}
	return out
}

func (d direct) suppress(phone string, channel workflow.NodeType, reason string) (lead.SuppressionID, bool, leadStates, error) {
	s, err := d.eng.Suppress(context.Background(), engine.Suppress{PhoneNumber: phone, Channel: channel, Reason: reason})
	return s.ID, s.New, named(s.Leads), err
}

func (d direct) lift(id lead.SuppressionID) error {
	_, err := d.eng.Lift(context.Background(), id)
	return refusal(err)
}

func (d direct) hold(id lead.ID) error {
	_, err := d.eng.Hold(context.Background(), d.wf, id, engine.Hold{})
	return refusal(err)
}

func (d direct) release(id lead.ID) error {
	_, err := d.eng.Release(context.Background(), d.wf, id)
	return refusal(err)
}

func (d direct) removeContact(phone, reason string, skip bool) (leadStates, error) {
	options := []engine.RemoveOption{engine.Reason(reason)}
	if skip {
		options = append(options, engine.SkipRetries())
	}
	leads, err := d.eng.RemoveContact(context.Background(), phone, options...)
	return named(leads), err
}

func (d direct) history(id lead.ID) (map[string]string, error) {
	steps, err := d.eng.History(context.Background(), d.wf, id)
	out := map[string]string{}
	for _, s := range steps {
		if len(s.Attempts) > 0 {
			out[s.NodeID] = s.Outcome
		}
	}
	return out, err
}

// overHTTP speaks HTTP, as the OpenAPI document of engine/httpapi says.
type overHTTP struct {
	base   string // of the server
	wf     lead.WorkflowID
	client *http.Client
}

// call makes a request and decodes its answer, or says which class of refusal
// it was.
func (h overHTTP) call(method, path string, body, into any) (status int, err error) {
	var text io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		text = bytes.NewReader(data)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.base+"/v1"+path, text)
	if err != nil {
		return 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return 0, err
	case resp.StatusCode == http.StatusConflict:
		return resp.StatusCode, lead.ErrConflict
	case resp.StatusCode >= 300:
		return resp.StatusCode, fmt.Errorf("%s %s: %s %s", method, path, resp.Status, data)
	}
	return resp.StatusCode, json.Unmarshal(data, into)
}

func (h overHTTP) leadPath(id lead.ID) string {
	return "/workflows/" + h.wf.String() + "/leads/" + id.String()
}

func (h overHTTP) enroll(phone string) (lead.ID, error) {
	var got struct {
		ID lead.ID `json:"id"`
	}
	_, err := h.call("POST", "/workflows/"+h.wf.String()+"/leads", map[string]string{"phone_number": phone}, &got)
	return got.ID, err
}

func (h overHTTP) remove(id lead.ID, reason string, skip bool) (state, seen lead.State, err error) {
	query := url.Values{"reason": {reason}}
	if skip {
		query.Set("skip_retries", "true")
	}
	var got struct {
		Status lead.State `json:"status"`
	}
	status, err := h.call("DELETE", h.leadPath(id)+"?"+query.Encode(), nil, &got)
	if err == nil && (status == http.StatusAccepted) != (got.Status == lead.PendingRemoval) {
		err = fmt.Errorf("removal answered %d and %s", status, got.Status)
	}
	return 0, got.Status, err
}

func (h overHTTP) complete(step lead.StepID, outcome string) (lead.State, error) {
	var got struct {
		State lead.State `json:"lead_status"`
	}
	_, err := h.call("POST", "/steps/"+step.String()+"/complete", map[string]string{"outcome": outcome}, &got)
	return got.State, err
}

func (h overHTTP) get(id lead.ID) (seen view, err error) {
	var got struct {
		Hold    *struct{}  `json:"hold"`
		State   lead.State `json:"status"`
		Removal *struct {
			Reason string `json:"reason"`
		} `json:"removal"`
	}
	_, err = h.call("GET", h.leadPath(id), nil, &got)
	seen = view{state: got.State, held: got.Hold != nil}
	if got.Removal != nil {
		seen.reason = got.Removal.Reason
	}
	return seen, err
}

// leadBody is a lead that a change of its person concerned.
type leadBody struct {
	ID     lead.ID    `json:"id"`
	Status lead.State `json:"status"`
}

func namedOverHTTP(leads []leadBody) leadStates {
	out := leadStates{}
	for _, l := range leads {
		out[l.ID] = l.Status
	}
	return out
}

func (h overHTTP) suppress(phone string, channel workflow.NodeType, reason string) (lead.SuppressionID, bool, leadStates, error) {
	var got struct {
		ID    lead.SuppressionID `json:"id"`
		Leads []leadBody         `json:"leads"`
	}
	body := map[string]string{"phone_number": phone, "reason": reason}
	if channel != "" {
		body["channel"] = string(channel)
	}
	status, err := h.call("POST", "/suppressions", body, &got)
	return got.ID, status == http.StatusCreated, namedOverHTTP(got.Leads), err
}

func (h overHTTP) lift(id lead.SuppressionID) error {
	_, err := h.call("DELETE", "/suppressions/"+id.String(), nil, &struct{}{})
	return err
}

func (h overHTTP) hold(id lead.ID) error {
	_, err := h.call("POST", h.leadPath(id)+"/hold", nil, &struct{}{})
	return err
}

func (h overHTTP) release(id lead.ID) error {
	_, err := h.call("POST", h.leadPath(id)+"/release", nil, &struct{}{})
	return err
}

func (h overHTTP) removeContact(phone, reason string, skip bool) (leadStates, error) {
	query := url.Values{"reason": {reason}}
	if skip {
		query.Set("skip_retries", "true")
	}
	var got struct {
		Data []leadBody `json:"data"`
	}
	_, err := h.call("DELETE", "/contacts/"+url.PathEscape(phone)+"/leads?"+query.Encode(), nil, &got)
	return namedOverHTTP(got.Data), err
}

func (h overHTTP) history(id lead.ID) (map[string]string, error) {
	var got struct {
		History []struct {
			Node     string            `json:"node_id"`
			Outcome  string            `json:"outcome"`
			Attempts []json.RawMessage `json:"attempts"`
		} `json:"history"`
	}
	_, err := h.call("GET", h.leadPath(id)+"/history", nil, &got)
	out := map[string]string{}
	for _, s := range got.History {
		if len(s.Attempts) > 0 {
			out[s.Node] = s.Outcome
		}
	}
	return out, err
}

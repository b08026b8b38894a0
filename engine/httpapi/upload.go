package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

const (
	csvType       = "text/csv"
	multipartType = "multipart/form-data"
)

// uploadBody says what came of a file.
type uploadBody struct {
	WorkflowID    string         `json:"workflow_id"`
	LeadsEnrolled int            `json:"leads_enrolled"`
	Rejected      int            `json:"rejected"`
	Errors        []rowErrorBody `json:"errors" doc:"the first 1,000 rejected rows"`
}

type rowErrorBody struct {
	Row     int    `json:"row" doc:"counts the records of the file; the header is 1"`
	Line    int    `json:"line" doc:"of the file, on which the row begins, from 1"`
	Message string `json:"message"`
}

// upload enrolls a CSV file as it comes in. It holds one row of it in memory,
// and the few hundred contacts that are being written.
func (h *Handler) upload(ctx context.Context, x *exchange, id lead.WorkflowID, kind string, params map[string]string, options []engine.EnrollOption) (*uploadBody, error) {
	w, err := h.eng.Workflow(ctx, id)
	if err != nil {
		return nil, err
	}
	if w.Status.Final() { // before anything is sent that nobody wants
		return nil, &lead.ConflictError{Reason: lead.ErrWorkflowStatus, Workflow: id, State: w.Status.String()}
	}
	f, err := h.receive(x, kind, params)
	if p := (*problem)(nil); errors.As(err, &p) && p.Status == http.StatusRequestEntityTooLarge {
		p.WorkflowID, p.LeadsEnrolled, p.Rejected = id.String(), new(int), new(int)
	}
	if err != nil {
		return nil, err
	}
	// A connection that breaks ends the request's context too, and then it would
	// depend on chance how many of the rows that did come in are enrolled.
	report, err := h.eng.EnrollCSV(context.WithoutCancel(ctx), id, f.file, options...)
	if err = f.cut(err); err != nil {
		return nil, h.enrollProblem(ctx, f, report, err)
	}
	out := &uploadBody{id.String(), report.Enrolled, report.Rejected, make([]rowErrorBody, len(report.Errors))}
	for i, e := range report.Errors {
		out.Errors[i] = rowErrorBody{e.Row, e.Line, e.Message}
	}
	return out, nil
}

// received is a file that comes in: the body itself, or a part of it.
type received struct{ body, file *bodyReader }

// receive returns the file of an upload.
func (h *Handler) receive(x *exchange, kind string, params map[string]string) (*received, error) {
	limit := h.config.MaxUpload
	if x.request.ContentLength > limit {
		return nil, bodyProblem(&http.MaxBytesError{Limit: limit})
	}
	body := &bodyReader{r: http.MaxBytesReader(x.ResponseWriter, x.request.Body, limit)}
	if kind != multipartType {
		return &received{body, body}, nil
	}
	part, err := filePart(body, params["boundary"])
	if err != nil {
		return nil, err
	}
	return &received{body, &bodyReader{r: part}}, nil
}

// cut returns the error with which the file was read, or, when it seemed to be whole,
// that of the body behind it.
func (f *received) cut(err error) error {
	if err == nil {
		return f.body.failed
	}
	return err
}

// uploadProblem says why a file was not read to its end.
func (h *Handler) uploadProblem(ctx context.Context, f *received, err error) *problem {
	switch {
	case f.body.failed != nil:
		return bodyProblem(f.body.failed)
	case f.file.failed != nil: // though the body is whole
		return faulty([]fault{{"body", "is a form that ends too early, or is not encoded as it says"}})
	}
	return h.refusal(ctx, err, "body")
}

// enrollProblem says why a file was not read to its end, and how much of it is
// enrolled all the same.
func (h *Handler) enrollProblem(ctx context.Context, f *received, report engine.EnrollReport, err error) *problem {
	p := h.uploadProblem(ctx, f, err)
	if report.Enrolled+report.Rejected > 0 {
		p.Detail += fmt.Sprintf("; %s before that enrolled, %d rejected", count(report.Enrolled, "row"), report.Rejected)
	} else {
		p.Detail += "; nobody was enrolled"
	}
	p.WorkflowID = report.WorkflowID.String()
	p.LeadsEnrolled, p.Rejected = &report.Enrolled, &report.Rejected
	h.log.LogAttrs(ctx, slog.LevelWarn, "leadflow: upload ended early",
		slog.String("workflow", p.WorkflowID), slog.Int("enrolled", report.Enrolled), slog.Int("rejected", report.Rejected),
		slog.Int("status", p.Status), slog.String("request_id", exchangeOf(ctx).id))
	return p
}

// filePart returns the part of a form that is named file. Parts before it are
// passed over.
func filePart(body *bodyReader, boundary string) (io.Reader, error) {
	if boundary == "" {
		return nil, newProblem(http.StatusUnsupportedMediaType, multipartType+" needs a boundary")
	}
	form := multipart.NewReader(body, boundary)
	for {
		part, err := form.NextPart()
		switch {
		case body.failed != nil:
			return nil, bodyProblem(body.failed)
		case errors.Is(err, io.EOF):
			return nil, faulty([]fault{{"body.file", "is required"}})
		case err != nil:
			return nil, faulty([]fault{{"body", "is not a form as its Content-Type says"}})
		case part.FormName() == "file":
			return part, nil
		}
	}
}

// bodyReader keeps apart a body that broke off from a file that is faulty.
type bodyReader struct {
	r      io.Reader
	failed error
}

// Read reads from the body. Once that has failed it keeps failing.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

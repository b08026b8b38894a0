package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/httpapi"
)

// rows writes a CSV file of n contacts, as much of it as is asked for.
type rows struct {
	n, next int
	buf     bytes.Buffer
}

func (r *rows) Read(p []byte) (int, error) {
	for r.buf.Len() < len(p) && r.next <= r.n {
		if r.next == 0 {
			r.buf.WriteString("phone_number,first_name,city\n")
		} else {
			fmt.Fprintf(&r.buf, "+1415%07d,Ann %d,\"San Francisco, CA\"\n", 2_000_000+r.next, r.next)
		}
		r.next++
	}
	return r.buf.Read(p)
}

func TestAnUploadEnrollsTheGoodRowsAndNamesTheBadOnes(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	const file = "\ufeffname,phone_number,external_id,time_zone\nAnn,+14155550001,crm-1,Europe/Berlin\nBob,none,,\nCid,+14155550001,,\nDan,+14155550002\nEve,+14155550003,,"
	expect := func(a answer) {
		t.Helper()
		o := a.expect(200).object()
		if o["leads_enrolled"] != 2.0 || o["rejected"] != 3.0 || len(o) != 4 {
			t.Errorf("the answer is %s", a)
		}
		for i, row := range []float64{3, 4, 5} {
			if e := o["errors"].([]any)[i].(map[string]any); e["row"] != row || e["message"] == "" {
				t.Errorf("error %d is %v", i, e)
			}
		}
	}
	w := s.active(onlyWait)
	expect(s.upload(w+"/leads", file))
	if l := s.get(w + "/leads?phone_number=%2B14155550001").object()["data"].([]any)[0].(map[string]any); l["external_id"] != "crm-1" ||
		l["time_zone"] != "Europe/Berlin" || l["metadata"].(map[string]any)["name"] != "Ann" {
		t.Errorf("the lead is %v", l)
	}

	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	_ = m.WriteField("note", "first")
	part, _ := m.CreateFormFile("file", "leads.csv")
	_, _ = io.WriteString(part, file)
	_ = m.Close()
	w = s.active(onlyWait)
	expect(s.send(request{method: "POST", path: w + "/leads", kind: m.FormDataContentType(), body: &form}))
	if wf := s.get(w).object(); wf["enrolled_leads"] != 2.0 {
		t.Errorf("the workflow is %v", wf)
	}
}

func TestAnUploadPastTheLimitSaysWhatItEnrolled(t *testing.T) {
	s := newServer(t, httpapi.Config{MaxUpload: 4096}, nil)
	// A body of a length that is known is refused before it is sent.
	w := s.active(onlyWait)
	a := s.upload(w+"/leads", "phone_number\n"+strings.Repeat("+14155550001\n", 1000)).expect(413)
	if o := a.object(); o["leads_enrolled"] != 0.0 || o["rejected"] != 0.0 {
		t.Errorf("the problem is %s", a)
	}
	// One that is not is enrolled as far as the limit, whole rows only.
	for _, kind := range []string{"text/csv", "multipart/form-data; boundary=b"} {
		w := s.active(onlyWait)
		var body io.Reader = struct{ io.Reader }{&rows{n: 1000}}
		if kind != "text/csv" {
			body = io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"), body)
		}
		a := s.send(request{method: "POST", path: w + "/leads", kind: kind, body: body}).expect(413)
		n := a.object()["leads_enrolled"].(float64)
		if n < 80 || n > 110 || !strings.Contains(a.object()["detail"].(string), fmt.Sprintf("%.0f rows", n)) {
			t.Errorf("the problem is %s", a)
		}
		expectWhole(t, s, w, int(n))
	}
	// A file of just the limit is whole.
	w = s.active(onlyWait)
	file := "phone_number,x\n+14155550001,"
	s.upload(w+"/leads", file+strings.Repeat("x", 4096-len(file))).expect(200)
}

// expectWhole checks that a workflow has the first n rows, and none cut short.
func expectWhole(t *testing.T, s *server, w string, n int) {
	t.Helper()
	if got := s.get(w).object()["enrolled_leads"].(float64); int(got) != n {
		t.Errorf("%v leads, want %d", got, n)
	}
	cursor, seen := "", 0
	for {
		page := s.get(w + "/leads?limit=100&cursor=" + cursor).expect(200).object()
		for _, l := range page["data"].([]any) {
			seen++
			l := l.(map[string]any)
			if want := fmt.Sprintf("+1415%07d", 2_000_000+seen); l["phone_number"] != want || l["metadata"].(map[string]any)["city"] != "San Francisco, CA" {
				t.Fatalf("lead %d is %v", seen, l)
			}
		}
		next, more := page["next_cursor"].(string)
		if !more {
			break
		}
		cursor = next
	}
	if seen != n {
		t.Errorf("listed %d leads, want %d", seen, n)
	}
}

// TestABrokenConnectionLeavesWholeRows cuts uploads at every place of a row: a
// phone number that is cut short must not be taken for a shorter one.
func TestABrokenConnectionLeavesWholeRows(t *testing.T) {
	log := newRequestLog()
	s := newServer(t, httpapi.Config{Logger: slog.New(log)}, nil)
	const header, whole, last = "phone_number\n", "+442079460001\n", "+442079460958"
	for _, how := range []struct{ name, head string }{
		{"length", "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\n"},
		{"chunks", "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"form", "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"},
	} {
		t.Run(how.name, func(t *testing.T) {
			for cut := 1; cut <= len(last); cut += 3 {
				w := s.active(onlyWait)
				conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				text := header + whole + last[:cut]
				if how.name == "chunks" {
					text = fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
				}
				if _, err := fmt.Fprintf(conn, "POST %s/leads HTTP/1.1\r\nHost: x\r\nX-Request-Id: cut\r\n%s%s", w, how.head, text); err != nil {
					t.Fatal(err)
				}
				// The client says that it is done and still listens for the answer.
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				conn.Close()
				log.until(t, "request_id", "cut")
				a := answer{t, resp.StatusCode, resp.Header, body}
				expectProblem(t, a)
				if a.expect(400).object()["leads_enrolled"] != 1.0 {
					t.Errorf("cut at %d: %s", cut, a)
				}
				page := s.get(w + "/leads").object()["data"].([]any)
				if len(page) != 1 || page[0].(map[string]any)["phone_number"] != "+442079460001" {
					t.Fatalf("cut at %d: %v are enrolled", cut, page)
				}
			}
		})
	}
}

// A quote that is not closed costs its line, however much follows.
func TestARowWithoutEndIsNamed(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	file := io.MultiReader(strings.NewReader("phone_number,x\n+14155550001,a\n+14155550002,\""),
		io.LimitReader(endless{}, 2<<20), strings.NewReader("\n+14155550003,b\n"))
	o := s.send(request{method: "POST", path: w + "/leads", kind: "text/csv", body: file}).expect(200).object()
	first := o["errors"].([]any)[0].(map[string]any)
	if o["leads_enrolled"] != 2.0 || first["row"] != 3.0 || first["line"] != 3.0 || !strings.Contains(first["message"].(string), "quote") {
		t.Errorf("%v enrolled, the first error is %v", o["leads_enrolled"], first)
	}
	s.upload(w+"/leads", strings.Repeat("x,", 1<<18)).expect(422)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "a\n"[i%2]
	}
	return len(p), nil
}

// TestAHundredThousandLeadsTakeFlatMemory enrolls them in one request, which
// may take no more heap than a quarter of them does.
func TestAHundredThousandLeadsTakeFlatMemory(t *testing.T) {
	n, slack := 100_000, uint64(12<<20)
	if raceEnabled { // which has its own idea of memory, and of time
		n, slack = 10_000, 1<<30
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // so that garbage doesn't count for much
	s := newServer(t, httpapi.Config{}, nil)
	few := s.heapOfUpload(n / 4)
	many := s.heapOfUpload(n)
	if many > few+slack {
		t.Errorf("%d leads take %d KiB of heap, %d take %d KiB", n/4, few>>10, n, many>>10)
	}
}

// heapOfUpload returns the most bytes of heap that there were while n leads
// were enrolled.
func (s *server) heapOfUpload(n int) uint64 {
	s.t.Helper()
	w := s.draft(onlyWait)
	runtime.GC()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			case <-stop:
				most <- peak
				return
			}
		}
	}()
	begun := time.Now()
	a := s.send(request{method: "POST", path: w + "/leads", kind: "text/csv", body: struct{ io.Reader }{&rows{n: n}}}).expect(200)
	took := time.Since(begun)
	close(stop)
	peak := <-most
	if o := a.object(); o["leads_enrolled"] != float64(n) || o["rejected"] != 0.0 {
		s.t.Errorf("the answer is %s", a)
	}
	s.t.Logf("%d leads in %v, at most %d KiB of heap", n, took.Round(time.Millisecond), peak>>10)
	return peak
}

func TestADryRunEnrollsNobody(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	s.enroll(w, "+14155550101")
	file := "phone_number\n+14155550101\n(415) 555-0102\n+14155550102\nreception\n"
	upload := func(query string) answer {
		return s.send(request{method: "POST", path: w + "/leads" + query, kind: "text/csv", body: strings.NewReader(file)})
	}
	for range 2 {
		a := upload("?dry_run=true&region=US").expect(200).object()
		if a["leads_enrolled"] != 1.0 || a["rejected"] != 3.0 || len(a["errors"].([]any)) != 3 {
			t.Errorf("a dry run says %v", a)
		}
	}
	if a := upload("?dry_run=false").expect(200).object(); a["leads_enrolled"] != 1.0 || a["rejected"] != 3.0 {
		t.Errorf("without a region: %v", a)
	}
	if got := s.get(w + "/leads").expect(200).object()["meta"].(map[string]any)["total"]; got != 2.0 {
		t.Errorf("%v leads", got)
	}
	if got := upload("?dry_run=perhaps&region=UK").expect(422).locations(); !slices.Equal(got, []string{"query.dry_run", "query.region"}) {
		t.Errorf("faults at %q", got)
	}
	s.post(w+"/leads?dry_run=true", `{"phone_number":"+14155550103"}`).expect(422)
	s.post(w+"/cancel", "").expect(200)
	upload("?dry_run=true").expect(409)
}

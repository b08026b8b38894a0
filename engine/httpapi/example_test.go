package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "leadflow")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	st, err := sqlite.Open(ctx, filepath.Join(dir, "leads.db"), sqlite.Options{})
	if err != nil {
		panic(err)
	}
	defer st.Close()
	eng, err := engine.New(st, engine.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	if err := eng.Start(ctx); err != nil {
		panic(err)
	}
	defer eng.Shutdown(ctx)

	api, err := httpapi.New(eng, httpapi.Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/outreach/", http.StripPrefix("/outreach", api))
	server := httptest.NewServer(mux)
	defer server.Close()

	resp, err := http.Post(server.URL+"/outreach/v1/workflows", "application/json", strings.NewReader(
		`{"name":"Nurture","entry":"first","nodes":[{"id":"first","type":"voice_cal"}]}`))
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.Status)
	fmt.Println(strings.Contains(string(body), `"location":"body.nodes[0].type"`))
	// Output:
	// 422 Unprocessable Entity
	// true
}

func ExampleSignCallback() {
	step, err := lead.ParseStepID("step_01kaqf5y8sf3x8zq0h0m9d2c7r")
	if err != nil {
		panic(err)
	}
	fmt.Println("/v1/steps/" + step.String() + "/complete?sig=" + httpapi.SignCallback([]byte("sixteen or more bytes"), step))
	// Output:
	// /v1/steps/step_01kaqf5y8sf3x8zq0h0m9d2c7r/complete?sig=LlRdhzhXoBwrbsiJAxRwOdgsyJfwYwLYlxn8N-VB4Zs
}

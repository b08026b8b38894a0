// Command zones runs in an empty root, where there is no zoneinfo. It prints what
// the library makes of time zones there.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

func main() {
	if entries, err := os.ReadDir("/usr/share/zoneinfo"); err == nil {
		fmt.Println("there is zoneinfo:", len(entries))
	}
	contact, err := lead.Contact{PhoneNumber: "+4915112345678", TimeZone: "Europe/Berlin"}.Normalize("")
	if err != nil {
		fmt.Println(err)
	}
	g, err := workflow.Compile(&workflow.Definition{
		Name: "zones", Entry: "wait",
		Nodes: []workflow.Node{
			workflow.WaitUntil("wait", `date("2026-07-01 09:00", "2006-01-02 15:04", lead.time_zone)`),
			workflow.If("tokyo", `now().In(timezone("Asia/Tokyo")).Hour() == 17`),
			workflow.End("end", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.To("wait", "tokyo"), workflow.On("tokyo", "true", "end")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	env := &workflow.Env{Contact: contact, Now: time.Date(2026, 7, 1, 8, 0, 0, 0, time.UTC)}
	fmt.Println(g.Until(0, env, env.Now))
	fmt.Println(g.Test(1, env))
}

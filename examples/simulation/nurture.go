package simulation

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

const day = 24 * time.Hour

// Nurture is the workflow for everybody who has begun a trial: a welcome call, a
// guide, a talk about it, an offer to those who are keen, and a last call when
// two quiet weeks are over. Nobody is in it for more than thirty days.
func Nurture() *workflow.Definition {
	busy := workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(4 * time.Hour)}
	return &workflow.Definition{
		Name: "Thirty days of trial", Entry: "welcome",
		Nodes: []workflow.Node{
			workflow.CallNode("welcome", nil).WithRetry(busy),
			workflow.Wait("next-day", day),
			workflow.CallNode("second", nil).WithRetry(busy),
			workflow.MessageNode("sorry", workflow.Config{"text": "We could not reach you."}),
			workflow.MessageNode("guide", workflow.Config{"text": "Here is our guide."}),
			workflow.Wait("read", 3*day),
			workflow.CallNode("follow-up", nil).WithRetry(busy),
			workflow.If("keen", `steps["follow-up"].data.score >= 7`),
			workflow.MessageNode("offer", workflow.Config{"text": "Your first month is on us."}),
			workflow.Wait("decide", 7*day),
			workflow.CallNode("closing", nil).WithRetry(busy),
			workflow.Wait("quiet", 14*day),
			workflow.CallNode("last", nil).WithRetry(busy),
			workflow.End("won", workflow.Converted),
			workflow.End("lost", workflow.Dropped),
		},
		Edges: []workflow.Edge{
			workflow.On("welcome", "completed", "guide"),
			workflow.On("welcome", "default", "next-day"),
			workflow.To("next-day", "second"),
			workflow.On("second", "completed", "guide"),
			workflow.On("second", "default", "sorry"),
			workflow.On("sorry", "default", "quiet"),
			workflow.On("guide", "default", "read"),
			workflow.To("read", "follow-up"),
			workflow.On("follow-up", "completed", "keen"),
			workflow.On("follow-up", "default", "quiet"),
			workflow.On("keen", "true", "offer"),
			workflow.On("keen", "false", "quiet"),
			workflow.On("offer", "default", "decide"),
			workflow.To("decide", "closing"),
			workflow.On("closing", "signed", "won"),
			workflow.On("closing", "default", "quiet"),
			workflow.To("quiet", "last"),
			workflow.On("last", "signed", "won"),
			workflow.On("last", "default", "lost"),
		},
	}
}

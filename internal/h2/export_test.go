package h2

// Held is how many bytes a call keeps for itself, save for what x/net keeps.
func (c *Call) Held() int {
	const field = 48
	return cap(c.in.b) + cap(c.out.b) + cap(c.encoded.b) + cap(c.text) + cap(c.block.text) + field*cap(c.block.fields)
}

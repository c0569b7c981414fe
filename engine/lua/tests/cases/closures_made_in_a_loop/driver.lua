local M = load_module()
for i = 1, 5 do M.list[i]() end
local kept = M.list[3]
reload()
for i = 1, 5 do
    local name, c = M.list[i]()
    expect(name, "new")
    expect(c, i * 10 + 2)
    name, c = M.named["n" .. i]()
    expect(name, "new")
    expect(c, i * 10 + 2, "shared")
end
expect(kept, M.list[3])
expect(M.list[6], nil, "arrays are data")
expect(select(2, M.named.n6()), 60)

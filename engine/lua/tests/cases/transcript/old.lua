local M = {
    data1 = 1,
    data2 = 1.0,
    data3 = "string",
    data4 = true,
    data5 = nil,
}
local upvalue = "upvalue"

function M.func1() return "func1" end
function M.func2() return M.data6.k1 end
M.data6 = {
    k1 = 1,
    M.func1,
    nested = function() return M.data6.k1 end,
}
M.self = M
function M.set_upvalue(value) upvalue = value end
function M.dump()
    return table.concat({
        tostring(M.data1), tostring(M.data2), M.data3, tostring(M.data4), tostring(M.data5),
        upvalue,
    }, " ")
end

return M

#version 460
#extension GL_EXT_buffer_reference : require

// Repeats 16 bytes `n` times, from a multiple of 16 on.

#define THREADS 256
#define TILE    (4 * THREADS)

layout(local_size_x = THREADS) in;

layout(buffer_reference, std430, buffer_reference_align = 16) writeonly restrict buffer To {
        uvec4 quads[];
};

layout(push_constant, std430) uniform Push {
        layout(offset = 8) To to;
        layout(offset = 16) uvec4 pattern;
        uint n;
};

void main() {
        uint thread = gl_LocalInvocationID.x;

        for (uint begin = gl_WorkGroupID.x * TILE; begin < n; begin += gl_NumWorkGroups.x * TILE) {
                for (uint i = begin + thread; i < min(n, begin + TILE); i += THREADS)
                        to.quads[i] = pattern;
        }
}

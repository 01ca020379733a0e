#version 460
#extension GL_EXT_buffer_reference : require

// Copies `n` times 16 bytes; both addresses are multiples of 16. Each thread has four loads under way.

#define THREADS 256
#define TILE    (4 * THREADS)

layout(local_size_x = THREADS) in;

layout(buffer_reference, std430, buffer_reference_align = 16) readonly restrict buffer From {
        uvec4 quads[];
};

layout(buffer_reference, std430, buffer_reference_align = 16) writeonly restrict buffer To {
        uvec4 quads[];
};

layout(push_constant, std430) uniform Push {
        From from;
        To to;
        layout(offset = 32) uint n;
};

void main() {
        uint thread = gl_LocalInvocationID.x;
        uint begin = gl_WorkGroupID.x * TILE;

        for (; begin + TILE <= n; begin += gl_NumWorkGroups.x * TILE) {
                uint i = begin + thread;
                uvec4 a = from.quads[i];
                uvec4 b = from.quads[i + THREADS];
                uvec4 c = from.quads[i + 2 * THREADS];
                uvec4 d = from.quads[i + 3 * THREADS];

                to.quads[i] = a;
                to.quads[i + THREADS] = b;
                to.quads[i + 2 * THREADS] = c;
                to.quads[i + 3 * THREADS] = d;
        }
        for (uint i = begin + thread; i < min(n, begin + TILE); i += THREADS)
                to.quads[i] = from.quads[i];
}

(******************************************************************************)
(*      Average pooling is linear, and one of the convolutions                *)
(*                                                                            *)
(*   pool win f x == the tensor o |-> f o * sum of x over the window win o    *)
(*   pool_mx win f == its matrix                                              *)
(*   mean_factor win o == 1 / (the size of the window): global, adaptive and  *)
(*        count_include_pad=False pooling; a constant is divisor_override     *)
(*   adaptive_window h oh u == rows floor(u h/oh) .. ceil((u+1) h/oh) - 1     *)
(*   avg_pool2 f s1 s2 x == f times the sums over the kh x kw windows of a    *)
(*        padded input: count_include_pad=True where f = 1/(kh kw)            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern correlation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Pool.
Variables (K : comRingType) (I O : finType) (win : O -> {set I}) (f : O -> K).

Definition pool (x : I -> K) (o : O) : K := f o * \sum_(i in win o) x i.
Definition pool_mx : 'M[K]_(#|O|, #|I|) := mxf (fun o i => f o * (i \in win o)%:R).

Theorem poolP x : pool_mx *m vec x = vec (pool x).
Proof.
rewrite mxf_vec; apply/eq_vec => o; rewrite /pool [in RHS]big_mkcond mulr_sumr.
apply: eq_bigr => i _; rewrite -mulrA; congr (_ * _).
by case: ifP; rewrite ?mul1r ?mul0r.
Qed.

End Pool.

Section Mean.
Variables (K : numFieldType) (I O : finType) (win : O -> {set I}).

Definition mean_factor (o : O) : K := #|win o|%:R^-1.

(* a mean of equal numbers is that number *)
Theorem pool_constant (a : K) o : win o != set0 -> pool win mean_factor (fun=> a) o = a.
Proof.
rewrite -card_gt0 => win0; rewrite /pool sumr_const -mulr_natl mulrA mulVf ?mul1r //.
by rewrite pnatr_eq0 -lt0n.
Qed.

(* global pooling: the window is everything *)
Theorem pool_global (x : I -> K) o : win o = setT ->
  pool win mean_factor x o = (\sum_i x i) / #|I|%:R.
Proof.
move=> all_; rewrite /pool /mean_factor all_ cardsT mulrC; congr (_ / _).
by apply: eq_bigl => i; rewrite inE.
Qed.

End Mean.

Section Adaptive.
Variables h oh : nat.

Definition adaptive_window (u : 'I_oh) : {set 'I_h} :=
  [set i : 'I_h | u * h %/ oh <= i < (u.+1 * h + oh.-1) %/ oh]%N.

(* no window is empty *)
Theorem adaptive_window_nonempty u : (0 < h)%N -> adaptive_window u != set0.
Proof.
move=> h0; have oh0 : (0 < oh)%N := leq_ltn_trans (leq0n u) (ltn_ord u).
have start : (u * h %/ oh < h)%N by rewrite ltn_divLR // mulnC ltn_mul2l h0 ltn_ord.
apply/set0Pn; exists (Ordinal start); rewrite inE leqnn /= leq_divRL //.
rewrite !mulSn; apply: leq_trans (leq_add (leqnn oh) (leq_trunc_div _ _)) _.
by rewrite addnAC leq_add2r -{1}(prednK oh0) -add1n leq_add2r.
Qed.

End Adaptive.

Section AvgPool2.
Variables (K : comRingType) (c H V kh kw oh ow s1 s2 : nat) (f : K).

Definition avg_pool2 (x : 'I_c * 'I_H * 'I_V -> K) (o : 'I_c * 'I_oh * 'I_ow) : K :=
  let: (q, u, v) := o in
  f * \sum_(a < kh) \sum_(b < kw) at3 x q (u * s1 + a) (v * s2 + b).

(* a depthwise convolution: as many groups as channels, all taps equal *)
Theorem avg_pool2_conv x :
  avg_pool2 x =1 conv2d (g := c) (kh := kh) (kw := kw) s1 s2 1 1 (fun _ _ _ _ => f) x.
Proof.
case=> [[q u] v] /=; have c0 : (0 < c)%N := leq_ltn_trans (leq0n q) (ltn_ord q).
rewrite divnn c0 divn1 muln1 big_ord1 addn0 mulr_sumr; apply: eq_bigr => a _.
by rewrite mulr_sumr; apply: eq_bigr => b _; rewrite !muln1.
Qed.

End AvgPool2.

Print Assumptions poolP.
Print Assumptions pool_constant.
Print Assumptions pool_global.
Print Assumptions adaptive_window_nonempty.
Print Assumptions avg_pool2_conv.
